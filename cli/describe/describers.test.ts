// Descriptions of one object each, as they are printed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { deployments, nodes, pods, secrets, services } from "../../api/kinds/generated/resources.ts";
import type { Deployment, Node, Pod, Secret, Service } from "../../api/kinds/generated/types.ts";
import { describeObject } from "./describers.ts";

const nowMs = Date.parse("2026-01-31T12:00:00Z");
const created = { namespace: "default", creationTimestamp: "2026-01-31T11:55:00Z" };

const crashing: Pod = {
  metadata: {
    ...created,
    name: "web-1-a",
    ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", uid: "set", controller: true }],
  },
  spec: {
    nodeName: "node-1",
    containers: [
      {
        name: "web",
        image: "web:1",
        command: ["sh", "-c", "exit 3"],
        env: [{ name: "PASS", valueFrom: { secretKeyRef: { name: "keys", key: "pass" } } }],
        resources: { requests: { cpu: "250m", memory: "64Mi" } },
        readinessProbe: { httpGet: { path: "/healthz", port: 8080 } },
        volumeMounts: [{ name: "conf", mountPath: "/etc/web", readOnly: true }],
      },
    ],
    volumes: [{ name: "conf", configMap: { name: "web" } }],
  },
  status: {
    phase: "Running",
    podIPs: [{ ip: "10.244.0.2" }],
    conditions: [{ type: "Ready", status: "False", reason: "ContainersNotReady" }],
    containerStatuses: [
      {
        name: "web",
        image: "web:1",
        imageID: "sha256:1",
        ready: false,
        restartCount: 2,
        state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 20s" } },
        lastState: {
          terminated: {
            exitCode: 3,
            reason: "Error",
            startedAt: "2026-01-31T11:59:00Z",
            finishedAt: "2026-01-31T11:59:30Z",
          },
        },
      },
    ],
  },
};

const asked = {
  nowMs,
  list: async <T>(path: string) => (answers.find(([end]) => path.endsWith(end))?.[1] ?? []) as readonly T[],
};
const answers: readonly (readonly [string, readonly object[]])[] = [
  ["/pods", [crashing, { ...crashing, metadata: { ...created, name: "of-another" } }]],
  [
    "/replicasets",
    [
      {
        metadata: {
          name: "web-1",
          uid: "set",
          annotations: { "deployment.kubernetes.io/revision": "1" },
          ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "web", controller: true }],
        },
        spec: { replicas: 1, template: { spec: crashing.spec } },
      },
    ],
  ],
  [
    "/endpointslices",
    [
      {
        ports: [{ port: 8080 }],
        endpoints: [{ addresses: ["10.244.0.2"], conditions: { ready: false }, targetRef: { name: "web-1-a" } }],
      },
    ],
  ],
];

/** Without the spaces that end lines. */
const described = async (...args: Parameters<typeof describeObject>) =>
  (await describeObject(...args)).replaceAll(/ +$/gm, "");

test("describeObject tells of a pod what each container does, what ended it before, and what it gets", async () => {
  assert.equal(
    await described(pods, crashing, asked),
    `Name:                web-1-a
Namespace:           default
Controlled by:       ReplicaSet/web-1
Created:             2026-01-31T11:55:00Z (5m ago)
Status:              CrashLoopBackOff, 0 of 1 containers ready, 2 restarts
Node:                node-1
Addresses:           10.244.0.2
Quality of service:  Burstable

Container web
  Image:            web:1
  Image ID:         sha256:1
  State:            Waiting: CrashLoopBackOff: back-off 20s
  Before:           Ended: Error, exit code 3, from 2026-01-31T11:59:00Z to 2026-01-31T11:59:30Z (30s ago)
  Ready:            no
  Restarts:         2
  Command:          sh -c "exit 3"
  Requests:         cpu=250m, memory=64Mi
  Readiness probe:  GET http://:8080/healthz every 10s, timeout 1s, good after 1, failed after 3
  Environment:      PASS from pass of Secret keys
  Mounts:           /etc/web from conf, read-only

Volumes
  NAME  TYPE       SOURCE
  conf  configMap  web

Conditions
  TYPE   STATUS  REASON              MESSAGE
  Ready  False   ContainersNotReady`,
  );
});

test("describeObject tells of a Deployment which of its own pods wait, and why", async () => {
  const deployment: Deployment = {
    metadata: { ...created, name: "web", uid: "web" },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1" }] } },
    },
    status: { replicas: 1, updatedReplicas: 1 },
  };
  assert.equal(
    await described(deployments, deployment, asked),
    `Name:               web
Namespace:          default
Created:            2026-01-31T11:55:00Z (5m ago)
Selector:           app=web
Replicas:           2 wanted, 1 there, 1 updated, 0 available
Update:             RollingUpdate: 25% more, 25% less at a time
Progress deadline:  600s
Pods' labels:       app=web

Container web
  Image:  web:1

ReplicaSets
  REVISION  NAME   WANTED  READY  IMAGES
  1         web-1  1       0      web:1

Pods
  NAME     READY  STATUS            NODE    AGE  WHY
  web-1-a  0/1    CrashLoopBackOff  node-1  5m   container web: back-off 20s; it ended before: Error, exit code 3`,
  );
});

test("describeObject tells of a node what of it is promised to pods", async () => {
  const node: Node = {
    metadata: { name: "node-1", creationTimestamp: created.creationTimestamp },
    spec: { unschedulable: true, taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] },
    status: { capacity: { cpu: "2", memory: "1Gi" }, allocatable: { cpu: "1", memory: "512Mi", "hugepages-2Mi": "0" } },
  };
  assert.equal(
    await described(nodes, node, asked),
    `Name:            node-1
Created:         2026-01-31T11:55:00Z (5m ago)
Taints:          gpu=yes:NoSchedule
Takes new pods:  no: it is cordoned

Resources
  RESOURCE  OF THE MACHINE  FOR PODS  PROMISED
  cpu       2000m           1000m     500m (50%)
  memory    1024Mi          512Mi     128Mi (25%)

Pods
  NAMESPACE  NAME        READY  STATUS            CPU   MEMORY  AGE
  default    web-1-a     0/1    CrashLoopBackOff  250m  64Mi    5m
  default    of-another  0/1    CrashLoopBackOff  250m  64Mi    5m`,
  );
});

test("describeObject tells of a Service who stands behind it, and of a Secret only how long its values are", async () => {
  const service: Service = {
    metadata: { ...created, name: "web" },
    spec: {
      type: "NodePort",
      selector: { app: "web" },
      clusterIPs: ["10.96.0.9"],
      ports: [{ port: 80, nodePort: 30080, targetPort: 8080 }],
    },
  };
  const secret: Secret = { metadata: { ...created, name: "keys" }, type: "Opaque", data: { pass: "d29yZA==" } };
  assert.equal(
    `${await described(services, service, asked)}\n\n${await described(secrets, secret, asked)}`,
    `Name:                 web
Namespace:            default
Created:              2026-01-31T11:55:00Z (5m ago)
Type:                 NodePort
Selector:             app=web
Name in the cluster:  web.default.svc
Addresses:            10.96.0.9

Ports
  NAME  PORT    ON NODES  OF PODS
        80/TCP  30080     8080

Endpoints
  ADDRESS     PORTS  READY  POD      NODE
  10.244.0.2  8080   no     web-1-a

Name:       keys
Namespace:  default
Created:    2026-01-31T11:55:00Z (5m ago)
Type:       Opaque

Data
  KEY   SIZE
  pass  4 bytes`,
  );
});
