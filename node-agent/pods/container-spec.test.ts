// The whole way from a pod's container to the runtime's spec, kept in a golden file; REWRITE=1 writes it anew.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { Container, Pod, PodSpec } from "../../api/kinds/generated/types.ts";
import type { Image } from "../images/images.ts";
import { resolveUser } from "../images/users.ts";
import { type ConfigLookup, containerEnv } from "./container-env.ts";
import { containerSpec } from "./container-spec.ts";
import { podCgroup } from "./pod-cgroup.ts";
import { userToResolve } from "./security.ts";
import { serviceEnv } from "./service-env.ts";

const golden = new URL("./testdata/container-spec.json", import.meta.url).pathname;

const image: Image = {
  id: `sha256:${"0".repeat(64)}`,
  tags: ["docker.io/library/web:1"],
  digests: [],
  sizeBytes: 1,
  config: {
    entrypoint: ["/entry"],
    cmd: ["default"],
    env: ["PATH=/bin", "FROM_IMAGE=yes"],
    workingDir: "/srv",
    user: "app",
    stopSignal: undefined,
    exposedPorts: [],
    volumes: [],
    labels: {},
  },
};

const lookup: ConfigLookup = {
  configMap: (namespace, name) =>
    name === "settings" ? { metadata: { namespace, name }, data: { COLOR: "red", KEY: "v" } } : undefined,
  secret: (namespace, name) =>
    name === "keys"
      ? { metadata: { namespace, name }, data: { token: Buffer.from("hunter").toString("base64") } }
      : undefined,
  claim: () => undefined,
  persistentVolume: () => undefined,
  runtimeClass: () => undefined,
};

const users = { passwd: "root:x:0:0::/:\napp:x:100:101::/:\nfive:x:5:50::/:\n", group: "extra:x:102:app,five\n" };

function specOf(container: Partial<Container>, spec: Partial<PodSpec> = {}) {
  const whole: Container = { name: "main", image: "web:1", ...container };
  const pod: Pod = {
    metadata: { name: "web-1", namespace: "shop", uid: "1234", labels: { app: "web" } },
    spec: { containers: [whole], ...spec },
  };
  const node = {
    nodeName: "n1",
    nodeIp: "192.168.0.1",
    allocatableCpuMilli: 4000,
    allocatableMemoryBytes: 8 * 2 ** 30,
    allocatableEphemeralStorageBytes: 2 ** 40,
  };
  const services = serviceEnv(
    [{ metadata: { name: "db-main", namespace: "shop" }, spec: { clusterIP: "10.96.0.7", ports: [{ port: 5432 }] } }],
    "shop",
    pod.spec?.enableServiceLinks !== false,
  );
  const fields = { pod, podIps: ["10.244.1.9"], node };
  return containerSpec({
    cgroup: podCgroup(pod),
    pod,
    container: whole,
    role: "main",
    attempt: 2,
    image,
    imageUser: resolveUser(userToResolve(pod, whole, image.config.user), users),
    env: containerEnv({ container: whole, imageEnv: image.config.env, services, fields, lookup }),
    rootfs: { destination: "/", type: "overlay", source: "overlay", options: ["lowerdir=/l"] },
    mounts: [{ destination: "/etc/hosts", type: "bind", source: "/h", options: ["rbind"] }],
    sandbox: { id: "1234", networkPath: "/s/net", ipcPath: "/s/ipc", utsPath: "/s/uts" },
    hostname: "web-1",
    logPath: "/logs/main/2.log",
    memoryCapacityBytes: 8 * 2 ** 30,
    seccompProfile: (name) => ({ name }),
  });
}

const cases: Readonly<Record<string, () => unknown>> = {
  "plain: the image decides": () => specOf({}),
  "env, args and limits": () =>
    specOf({
      args: ["--name=$(POD)", "$$(POD)", "$(UNKNOWN)"],
      env: [
        { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
        { name: "LABEL", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        { name: "TOKEN", valueFrom: { secretKeyRef: { name: "keys", key: "token" } } },
        { name: "MAYBE", valueFrom: { secretKeyRef: { name: "none", key: "x", optional: true } } },
        { name: "CPUS", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
        { name: "MEMORY", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } } },
        { name: "URL", value: "http://$(DB_MAIN_SERVICE_HOST)/$(COLOR)" },
      ],
      envFrom: [{ configMapRef: { name: "settings" } }, { prefix: "S_", secretRef: { name: "keys" } }],
      resources: { requests: { cpu: "250m", memory: "1Gi" }, limits: { cpu: "1500m", memory: "2Gi" } },
    }),
  "locked down": () =>
    specOf(
      {
        securityContext: {
          runAsUser: 1000,
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
          seccompProfile: { type: "Localhost", localhostProfile: "strict.json" },
        },
        resources: { limits: { cpu: "1", memory: "64Mi" } },
      },
      { securityContext: { fsGroup: 2000, supplementalGroups: [3000], runAsNonRoot: true }, enableServiceLinks: false },
    ),
  "privileged on the host's network": () =>
    specOf(
      { securityContext: { privileged: true }, command: ["/bin/sh"], tty: true, stdin: true, workingDir: "/tmp" },
      { hostNetwork: true, hostPID: true, hostIPC: true },
    ),
};

test("containerSpec gives what the golden file holds", () => {
  const actual = Object.fromEntries(Object.entries(cases).map(([title, make]) => [title, make()]));
  const text = `${JSON.stringify(actual, undefined, 2)}\n`;
  if (process.env["REWRITE"] !== undefined) writeFileSync(golden, text);
  assert.equal(text, readFileSync(golden, "utf8"));
});

const refusals: readonly (readonly [string, Partial<Container>, Partial<PodSpec>, string])[] = [
  ["a missing ConfigMap", { envFrom: [{ configMapRef: { name: "none" } }] }, {}, 'configmap "none" not found'],
  [
    "a missing key",
    { env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "none" } } }] },
    {},
    "couldn't find key none in ConfigMap shop/settings",
  ],
  [
    "root where it may not be",
    { securityContext: { runAsUser: 0, runAsNonRoot: true } },
    {},
    'container\'s runAsUser breaks non-root policy (pod: "web-1_shop(1234)", container: main)',
  ],
  [
    "a capability that does not exist",
    { securityContext: { capabilities: { add: ["FLY"] } } },
    {},
    "unknown capability FLY",
  ],
];

for (const [title, container, spec, message] of refusals) {
  test(`containerSpec refuses ${title}`, () => {
    assert.throws(() => specOf(container, spec), { name: "ConfigError", message });
  });
}

test("containerSpec looks up groups of whoever runs in the image, unless the policy is Strict", () => {
  const user = (container: Partial<Container>, spec: Partial<PodSpec>) => specOf(container, spec).user;
  assert.deepEqual(
    [
      user({}, {}),
      user({ securityContext: { runAsUser: 5 } }, { securityContext: { runAsUser: 1, supplementalGroups: [102, 7] } }),
      user({}, { securityContext: { runAsUser: 5, supplementalGroupsPolicy: "Strict", fsGroup: 9 } }),
      user({ securityContext: { runAsGroup: 6 } }, { securityContext: { runAsUser: 77, runAsGroup: 8 } }),
    ],
    [
      { uid: 100, gid: 101, additionalGids: [102] },
      { uid: 5, gid: 50, additionalGids: [102, 7] },
      { uid: 5, gid: 50, additionalGids: [9] },
      { uid: 77, gid: 6, additionalGids: [] },
    ],
  );
});

test("containerSpec refuses variables and arguments that grow beyond what a program can get", () => {
  const doubling = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ name: `E${i}`, value: i === 0 ? "x" : `$(E${i - 1})$(E${i - 1})` }));
  const most = [...doubling(18), ...Array.from({ length: 60 }, (_, i) => ({ name: `F${i}`, value: "$(E17)" }))];
  assert.throws(() => specOf({ env: doubling(40) }), {
    name: "RangeError",
    message: /"\$\(E17\)\$\(E17\)" becomes longer/,
  });
  assert.throws(() => specOf({ env: most }), { name: "ConfigError", message: /^environment variables have more than/ });
  const args = Array.from({ length: 60 }, () => "$(E17)");
  assert.throws(() => specOf({ env: doubling(18), args }), {
    name: "ConfigError",
    message: /^command and args have more/,
  });
});
