// What users get wrong most, and what they are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { configmapKind } from "./configmap.ts";
import { deploymentKind } from "./deployment.ts";
import type { Deployment, Pod, PodSpec, Service } from "./generated/types.ts";
import { findKind, kindOf, kinds } from "./list.ts";
import { podKind } from "./pod.ts";
import { podTemplateHash } from "./pod-template.ts";
import { unsupportedIn } from "./schema/unsupported.ts";
import { serviceKind } from "./service.ts";

const pod = (spec: Partial<PodSpec>): Pod => ({
  metadata: { name: "a" },
  spec: { containers: [{ name: "a", image: "a" }], ...spec },
});
const container = (fields: object, volumes: readonly { readonly name: string }[] = []): Pod =>
  pod({
    containers: [{ name: "a", image: "a", ...fields }],
    ...(volumes.length === 0 ? {} : { volumes: volumes.map((volume) => ({ ...volume, emptyDir: {} })) }),
  });

const pods: readonly (readonly [string, Pod, readonly string[]])[] = [
  ["a plain pod", pod({}), []],
  ["no containers", pod({ containers: [] }), ["spec.containers: Required value"]],
  ["an empty image", container({ image: "" }), ["spec.containers[0].image: Required value"]],
  [
    "two containers of one name",
    pod({
      containers: [
        { name: "a", image: "a" },
        { name: "a", image: "b" },
      ],
    }),
    ['spec.containers[1].name: Duplicate value: "a"'],
  ],
  [
    "a port out of range",
    container({ ports: [{ containerPort: 70000 }] }),
    ["spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
  ],
  [
    "requests above limits",
    container({ resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } }),
    ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
  ],
  [
    "a probe without a handler",
    container({ livenessProbe: {} }),
    ["spec.containers[0].livenessProbe: Required value: must have exactly one of exec, httpGet, tcpSocket, grpc"],
  ],
  [
    "a probe with two handlers",
    container({ readinessProbe: { exec: { command: ["x"] }, tcpSocket: { port: 80 } } }),
    ["spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not be set beside exec"],
  ],
  [
    "hooks that cannot be",
    container({
      lifecycle: {
        postStart: { httpGet: { port: 0, scheme: "FTP" } },
        preStop: { sleep: { seconds: 31 }, exec: { command: [] } },
      },
    }),
    [
      "spec.containers[0].lifecycle.postStart.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
      'spec.containers[0].lifecycle.postStart.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"',
      "spec.containers[0].lifecycle.preStop.sleep: Forbidden: may not be set beside exec",
      "spec.containers[0].lifecycle.preStop.exec.command: Required value",
      "spec.containers[0].lifecycle.preStop.sleep.seconds: Invalid value: 31: must be non-negative and no more than terminationGracePeriodSeconds (30)",
    ],
  ],
  [
    "a grace period of what is not killed",
    container({ readinessProbe: { exec: { command: ["x"] }, terminationGracePeriodSeconds: 1 } }),
    [
      "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
    ],
  ],
  [
    "names and addresses that are none",
    pod({
      hostPID: true,
      shareProcessNamespace: true,
      hostAliases: [{ ip: "300.1.1.1", hostnames: ["a_b"] }],
      dnsPolicy: "None",
      dnsConfig: { nameservers: ["x"], options: [{ value: "1" }] },
      readinessGates: [{ conditionType: "a b" }],
    }),
    [
      "spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
      'spec.hostAliases[0].ip: Invalid value: "300.1.1.1": must be a valid IP address, such as 10.9.8.7 or 2001:db8::ffff',
      `spec.hostAliases[0].hostnames[0]: Invalid value: "a_b": must be a lowercase RFC 1123 subdomain: letters a-z, digits, '-' and '.', each part first and last a letter or digit, such as "example.com"`,
      `spec.readinessGates[0].conditionType: Invalid value: "a b": name part must be letters, digits, '-', '_' and '.', first and last a letter or digit, such as "example.com/my.name"`,
      'spec.dnsConfig.nameservers[0]: Invalid value: "x": must be a valid IP address, such as 10.9.8.7 or 2001:db8::ffff',
      "spec.dnsConfig.options[0].name: Required value",
    ],
  ],
  [
    "restart rules without a policy",
    container({ restartPolicyRules: [{ action: "Jump", exitCodes: { operator: "In", values: [1] } }] }),
    [
      "spec.containers[0].restartPolicy: Required value: must be set beside restartPolicyRules",
      'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "Jump": supported values: "Restart", "RestartAllContainers"',
    ],
  ],
  [
    "a mount of no volume",
    container({ volumeMounts: [{ name: "gone", mountPath: "/x" }] }),
    ['spec.containers[0].volumeMounts[0].name: Not found: "gone"'],
  ],
  [
    "a mount that nobody else may share",
    container({ volumeMounts: [{ name: "v", mountPath: "/x", mountPropagation: "Bidirectional" }] }, [{ name: "v" }]),
    [
      "spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
    ],
  ],
  [
    "what is read-only below and writable above",
    container(
      { volumeMounts: [{ name: "v", mountPath: "/x", recursiveReadOnly: "Enabled", subPathExpr: "../$(A)" }] },
      [{ name: "v" }],
    ),
    [
      "spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: \"../$(A)\": must not contain '..'",
      "spec.containers[0].volumeMounts[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
    ],
  ],
  [
    "volumes of no kind that there is",
    pod({
      volumes: [
        { name: "a", hostPath: { path: "/a", type: "Fifo" } },
        { name: "b", emptyDir: { medium: "Tape", sizeLimit: "-1" } },
        { name: "c", image: { pullPolicy: "Never" } },
        { name: "d", downwardAPI: { items: [{ path: "/x" }] } },
        { name: "e", projected: { sources: [{ serviceAccountToken: { path: "t", expirationSeconds: 5 } }, {}] } },
      ],
    }),
    [
      'spec.volumes[0].hostPath.type: Unsupported value: "Fifo": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
      'spec.volumes[1].emptyDir.medium: Unsupported value: "Tape": supported values: "", "HugePages", "Memory", "HugePages-<size>"',
      "spec.volumes[1].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
      "spec.volumes[2].image.reference: Required value",
      'spec.volumes[3].downwardAPI.items[0].path: Invalid value: "/x": must be a relative path',
      "spec.volumes[3].downwardAPI.items[0]: Required value: one of fieldRef and resourceFieldRef is required",
      "spec.volumes[4].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
      "spec.volumes[4].projected.sources[1]: Required value: must specify a source",
    ],
  ],
  [
    "rules of security that contradict each other",
    {
      ...pod({
        hostUsers: false,
        hostNetwork: true,
        securityContext: {
          runAsUser: -1,
          seccompProfile: { type: "Localhost" },
          sysctls: [
            { name: "net.core.somaxconn", value: "1" },
            { name: "a b", value: "1" },
          ],
        },
        containers: [
          { name: "a", image: "a", securityContext: { allowPrivilegeEscalation: false, privileged: true } },
          {
            name: "b",
            image: "a",
            securityContext: { seccompProfile: { type: "Localhost", localhostProfile: "../x" } },
          },
        ],
      }),
    },
    [
      "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
      "spec.securityContext.sysctls[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when 'hostNetwork' is true",
      "spec.securityContext.sysctls[1].name: Invalid value: \"a b\": must have at most 253 characters and be names of letters, digits, '-' and '_' between '.' or '/'",
      "spec.hostNetwork: Forbidden: when `hostUsers` is false",
      'spec.containers[0].securityContext: Invalid value: "": cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
      "spec.containers[1].securityContext.seccompProfile.localhostProfile: Invalid value: \"../x\": must not contain '..'",
    ],
  ],
  [
    "a whole /proc for the node's own users",
    container({ securityContext: { procMount: "Unmasked" } }),
    [
      'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
    ],
  ],
  [
    "a file that leaves its volume",
    pod({ volumes: [{ name: "v", configMap: { name: "c", items: [{ key: "a", path: "../a" }] } }] }),
    ["spec.volumes[0].configMap.items[0].path: Invalid value: \"../a\": must not contain '..'"],
  ],
  [
    "a wrong restart policy",
    pod({ restartPolicy: "Sometimes" }),
    ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'],
  ],
  [
    "a toleration without a key",
    pod({ tolerations: [{ operator: "Equal" }] }),
    [
      'spec.tolerations[0].operator: Invalid value: "Equal": must be Exists when `key` is empty, which means "match all values and all keys"',
    ],
  ],
  [
    "two sources of one value",
    container({ env: [{ name: "A", value: "1", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] }),
    ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
  ],
];
for (const [name, object, expected] of pods) {
  test(`podKind.validate judges ${name}`, () => {
    assert.deepEqual(
      (podKind.validate?.(object) ?? []).map((e) => `${e.field}: ${e.message}`),
      expected,
    );
  });
}

const bad = "pod updates may not change fields other than";
const podUpdates: readonly (readonly [string, Pod, readonly string[]])[] = [
  ["another image", container({ image: "b" }), []],
  ["another command", container({ command: ["x"] }), [`spec.containers: Forbidden: ${bad}`]],
  ["another node", pod({ nodeName: "n" }), [`spec.nodeName: Forbidden: ${bad}`]],
  ["a further toleration", pod({ tolerations: [{ operator: "Exists" }] }), []],
];
for (const [name, now, expected] of podUpdates) {
  test(`podKind.validateUpdate judges ${name}`, () => {
    const errors = podKind.validateUpdate?.(now, pod({})) ?? [];
    assert.deepEqual(
      errors.map((e) => `${e.field}: ${e.message}`.slice(0, expected[0]?.length)),
      expected,
    );
  });
}

const deployment = (spec: object): Deployment => ({
  metadata: { name: "web" },
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "a", image: "a" }] } },
    ...spec,
  },
});
const deployments: readonly (readonly [string, Deployment, readonly string[]])[] = [
  ["a plain one", deployment({}), []],
  [
    "labels that do not match",
    deployment({ selector: { matchLabels: { app: "x" } } }),
    ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'],
  ],
  [
    "an empty selector",
    deployment({ selector: {} }),
    ["spec.selector: Invalid value: {}: empty selector is invalid: it would select every pod"],
  ],
  [
    "negative replicas",
    deployment({ replicas: -1 }),
    ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
  ],
  [
    "a roll-out that cannot move",
    deployment({ strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: "0%" } } }),
    ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
  ],
  [
    "Recreate with numbers",
    deployment({ strategy: { type: "Recreate", rollingUpdate: { maxSurge: 1 } } }),
    ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
  ],
];
for (const [name, object, expected] of deployments) {
  test(`deploymentKind.validate judges ${name}`, () => {
    assert.deepEqual(
      (deploymentKind.validate?.(object) ?? []).map((e) => `${e.field}: ${e.message}`),
      expected,
    );
  });
}

test("deploymentKind.validateUpdate keeps the selector", () => {
  const errors = deploymentKind.validateUpdate?.(
    deployment({ selector: { matchLabels: { app: "x" } } }),
    deployment({}),
  );
  assert.deepEqual(errors, [
    {
      field: "spec.selector",
      type: "immutable",
      message: 'Invalid value: {"matchLabels":{"app":"x"}}: field is immutable',
    },
  ]);
});

const service = (spec: object): Service => ({ metadata: { name: "web" }, spec: { type: "ClusterIP", ...spec } });
const services: readonly (readonly [string, Service, readonly string[]])[] = [
  ["a plain one", service({ ports: [{ port: 80 }] }), []],
  ["no ports", service({}), ["spec.ports: Required value"]],
  ["a headless one without ports", service({ clusterIP: "None" }), []],
  [
    "two ports without names",
    service({ ports: [{ port: 80 }, { port: 81, name: "b" }] }),
    ["spec.ports[0].name: Required value: services with several ports name each of them"],
  ],
  [
    "one port twice",
    service({
      ports: [
        { port: 80, name: "a" },
        { port: 80, name: "b" },
      ],
    }),
    ['spec.ports[1]: Duplicate value: "80/TCP"'],
  ],
  [
    "an address that is none",
    service({ clusterIP: "here", ports: [{ port: 80 }] }),
    ["spec.clusterIP: Invalid value: \"here\": must be empty, 'None', or an IPv4 address, such as 10.96.0.17"],
  ],
  [
    "a balancer's fields",
    service({
      type: "LoadBalancer",
      loadBalancerSourceRanges: ["10.0.0.0/8", " fd00::/8", "10.0.0.0", "10.0.0.0/33", "1.2.3.4.5/8"],
      ports: [{ port: 80 }],
    }),
    ["10.0.0.0", "10.0.0.0/33", "1.2.3.4.5/8"].map(
      (range, i) =>
        `spec.loadBalancerSourceRanges[${i + 2}]: Invalid value: "${range}": must be a range of addresses, such as 10.9.8.0/24`,
    ),
  ],
  [
    "a balancer's fields elsewhere",
    service({ loadBalancerClass: "a/b", healthCheckNodePort: 30000, ports: [{ port: 80 }] }),
    [
      "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
      "spec.healthCheckNodePort: Forbidden: may only be used when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ],
  ],
];
for (const [name, object, expected] of services) {
  test(`serviceKind.validate judges ${name}`, () => {
    assert.deepEqual(
      (serviceKind.validate?.(object) ?? []).map((e) => `${e.field}: ${e.message}`),
      expected,
    );
  });
}

test("serviceKind.validateUpdate keeps the address", () => {
  const errors =
    serviceKind.validateUpdate?.(service({ clusterIP: "10.96.0.2" }), service({ clusterIP: "10.96.0.1" })) ?? [];
  assert.deepEqual(
    errors.map((e) => e.field),
    ["spec.clusterIP"],
  );
});

test("configmapKind.validateUpdate keeps what is immutable", () => {
  const old = { immutable: true, data: { a: "1" } };
  const fields = (now: object) => (configmapKind.validateUpdate?.(now, old) ?? []).map((e) => e.field);
  assert.deepEqual(
    [fields(old), fields({ data: { a: "1" } }), fields({ immutable: true, data: { a: "2" } })],
    [[], ["immutable"], ["data"]],
  );
});

test("podKind.validateUpdate lets nobody make a mirror of a pod, for its node would let it go", () => {
  const mirror = { ...pod({}), metadata: { name: "a", annotations: { "kubernetes.io/config.mirror": "x" } } };
  const fields = (podKind.validateUpdate?.(mirror, pod({})) ?? []).map(({ field }) => field);
  assert.deepEqual(fields, ["metadata.annotations[kubernetes.io/config.mirror]"]);
});

test("unsupportedIn names what nobody acts on", () => {
  const object = {
    spec: {
      os: { name: "windows" },
      shareProcessNamespace: false,
      schedulingGroup: { name: "g" },
      containers: [{ name: "a" }, { name: "b", volumeDevices: [{}] }],
    },
  };
  assert.deepEqual(unsupportedIn(object, podKind.unsupportedFields ?? []), [
    "spec.os.name",
    "spec.schedulingGroup",
    "spec.containers[1].volumeDevices",
  ]);
  assert.deepEqual(
    unsupportedIn(
      { spec: { ipFamilyPolicy: "PreferDualStack", loadBalancerClass: "x" } },
      serviceKind.unsupportedFields ?? [],
    ),
    ["spec.ipFamilyPolicy"],
  );
});

test("findKind knows plurals, short names and kinds; kindOf the handle", () => {
  const found = ["pods", "po", "Pod", "deploy", "svc", "ep"].map(
    (name) => findKind(undefined, undefined, name)?.resource.resource,
  );
  assert.deepEqual(found, ["pods", "pods", "pods", "deployments", "services", undefined]);
  assert.ok(kinds.every((kind) => kindOf(kind.resource) === kind));
  assert.equal(findKind("", "v1", "deployments"), undefined);
});

test("podTemplateHash does not care for the order of fields, but for their values", () => {
  const one = podTemplateHash({ metadata: { labels: { a: "1", b: "2" } }, spec: { containers: [] } });
  const same = podTemplateHash({ spec: { containers: [] }, metadata: { labels: { b: "2", a: "1" } } });
  const other = podTemplateHash({ metadata: { labels: { a: "1", b: "3" } }, spec: { containers: [] } });
  const collided = podTemplateHash({ metadata: { labels: { a: "1", b: "2" } }, spec: { containers: [] } }, 1);
  assert.deepEqual([one === same, new Set([one, other, collided]).size, /^[a-z0-9]{10}$/.test(one)], [true, 3, true]);
});
