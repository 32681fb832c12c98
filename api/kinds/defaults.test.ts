// What a user writes and what is stored: the golden answers of Kubernetes 1.36.
import assert from "node:assert/strict";
import { test } from "node:test";
import { deploymentKind } from "./deployment.ts";
import type { Deployment, Pod, Secret, Service } from "./generated/types.ts";
import type { Allocate, Kind } from "./kind.ts";
import { podKind } from "./pod.ts";
import { pullPolicyOf } from "./pod-defaults.ts";
import type { KubeObject } from "./resource.ts";
import { schemaDefaults } from "./schema/defaults.ts";
import type { JsonObject } from "./schema/schema.ts";
import { secretKind } from "./secret.ts";
import { serviceKind } from "./service.ts";

const allocate: Allocate = { clusterIp: (wanted) => wanted ?? "10.96.0.10", nodePort: (wanted) => wanted ?? 30080 };

function created<T extends KubeObject>(kind: Kind<T>, object: T): T {
  const filled = schemaDefaults(kind.resource.type, object as unknown as JsonObject) as unknown as T;
  const defaulted = kind.defaults?.(filled) ?? filled;
  return kind.prepareCreate?.(defaulted, { nowMs: 0, allocate }) ?? defaulted;
}

test("deploymentKind.defaults fills a minimal Deployment", () => {
  const labels = { app: "web" };
  const minimal: Deployment = {
    metadata: { name: "web" },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: "web",
              image: "registry:5000/web",
              ports: [{ containerPort: 80 }],
              env: [{ name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
              readinessProbe: { httpGet: { port: 80 } },
              resources: { limits: { cpu: "1" } },
            },
          ],
          volumes: [{ name: "a" }, { name: "b", configMap: { name: "c" } }, { name: "d", hostPath: { path: "/x" } }],
        },
      },
    },
    status: {},
  };
  assert.deepEqual(created(deploymentKind, minimal), {
    metadata: { name: "web" },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: "Always",
          dnsPolicy: "ClusterFirst",
          terminationGracePeriodSeconds: 30,
          schedulerName: "default-scheduler",
          securityContext: {},
          containers: [
            {
              name: "web",
              image: "registry:5000/web",
              imagePullPolicy: "Always",
              terminationMessagePath: "/dev/termination-log",
              terminationMessagePolicy: "File",
              ports: [{ containerPort: 80, protocol: "TCP" }],
              env: [{ name: "POD", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } } }],
              readinessProbe: {
                httpGet: { port: 80, path: "/", scheme: "HTTP" },
                timeoutSeconds: 1,
                periodSeconds: 10,
                successThreshold: 1,
                failureThreshold: 3,
              },
              resources: { limits: { cpu: "1" } },
            },
          ],
          volumes: [
            { name: "a", emptyDir: {} },
            { name: "b", configMap: { name: "c", defaultMode: 420 } },
            { name: "d", hostPath: { path: "/x", type: "" } },
          ],
        },
      },
    },
  });
});

test("podKind.defaults fills a pod, and its requests from its limits", () => {
  const pod: Pod = {
    metadata: { name: "a" },
    spec: { containers: [{ name: "a", image: "a:1", resources: { limits: { cpu: "1", memory: "1Gi" } } }] },
  };
  assert.deepEqual(created(podKind, pod), {
    metadata: { name: "a" },
    spec: {
      restartPolicy: "Always",
      dnsPolicy: "ClusterFirst",
      terminationGracePeriodSeconds: 30,
      tolerations: [{ key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" }],
      schedulerName: "default-scheduler",
      securityContext: {},
      enableServiceLinks: true,
      priority: 0,
      preemptionPolicy: "PreemptLowerPriority",
      serviceAccountName: "default",
      serviceAccount: "default",
      containers: [
        {
          name: "a",
          image: "a:1",
          imagePullPolicy: "IfNotPresent",
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
          resources: { limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } },
        },
      ],
    },
    status: { phase: "Pending", qosClass: "Guaranteed" },
  });
});

test("podKind.defaults changes nothing the second time", () => {
  const once = podKind.defaults?.({ spec: { containers: [{ name: "a", image: "a" }] } });
  assert.ok(once !== undefined);
  assert.deepEqual(podKind.defaults?.(once), once);
});

const service = (spec: Service["spec"] & object): Service => ({ metadata: { name: "web" }, spec });

test("serviceKind gives a Service its address and ports", () => {
  assert.deepEqual(
    created(serviceKind, service({ type: "NodePort", selector: { app: "web" }, ports: [{ port: 80 }] })),
    {
      metadata: { name: "web" },
      spec: {
        type: "NodePort",
        selector: { app: "web" },
        sessionAffinity: "None",
        internalTrafficPolicy: "Cluster",
        externalTrafficPolicy: "Cluster",
        clusterIP: "10.96.0.10",
        clusterIPs: ["10.96.0.10"],
        ipFamilies: ["IPv4"],
        ipFamilyPolicy: "SingleStack",
        ports: [{ port: 80, protocol: "TCP", targetPort: 80, nodePort: 30080 }],
      },
      status: { loadBalancer: {} },
    },
  );
});

test("serviceKind gives a headless Service no address, and one of type ExternalName none either", () => {
  const ips = [
    { clusterIP: "None", ports: [{ port: 80 }] },
    { type: "ExternalName", externalName: "example.com" },
  ].map((spec) => created(serviceKind, service(spec)).spec?.clusterIP);
  assert.deepEqual(ips, ["None", undefined]);
});

test("serviceKind.prepareUpdate keeps what was given, and gives back what the new type has not", () => {
  const old = created(serviceKind, service({ type: "NodePort", ports: [{ port: 80, protocol: "TCP" }] }));
  const refuse: Allocate = { clusterIp: () => assert.fail("address asked"), nodePort: () => assert.fail("port asked") };
  const update = (spec: Service["spec"] & object) =>
    serviceKind.prepareUpdate?.(serviceKind.defaults?.(service(spec)) ?? {}, old, { nowMs: 0, allocate: refuse }).spec;
  const same = update({ type: "NodePort", ports: [{ port: 80, protocol: "TCP" }] });
  const plain = update({ type: "ClusterIP", ports: [{ port: 80, protocol: "TCP", nodePort: 30080 }] });
  assert.deepEqual(
    [same?.clusterIP, same?.ports?.[0]?.nodePort, plain?.clusterIP, plain?.ports],
    ["10.96.0.10", 30080, "10.96.0.10", [{ port: 80, protocol: "TCP", targetPort: 80 }]],
  );
});

test("secretKind.defaults puts stringData into data", () => {
  const secret: Secret = { metadata: { name: "a" }, stringData: { password: "geheim" } };
  assert.deepEqual(created(secretKind, secret), {
    metadata: { name: "a" },
    type: "Opaque",
    data: { password: "Z2VoZWlt" },
  });
});

const images: readonly (readonly [string, string])[] = [
  ["web", "Always"],
  ["web:latest", "Always"],
  ["web:1", "IfNotPresent"],
  ["registry:5000/web", "Always"],
  ["registry:5000/web:1", "IfNotPresent"],
  ["web@sha256:00", "IfNotPresent"],
];
for (const [image, policy] of images) {
  test(`pullPolicyOf answers ${policy} for ${image}`, () => assert.equal(pullPolicyOf(image), policy));
}
