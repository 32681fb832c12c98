import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "../api/kinds/generated/types.ts";
import { hostPortsOf } from "./host-ports.ts";

const containers = [
  { name: "web", ports: [{ containerPort: 80, hostPort: 8080, hostIP: "192.0.2.7" }, { containerPort: 81 }] },
];
const initContainers = [
  { name: "first", ports: [{ containerPort: 1, hostPort: 1 }] },
  { name: "side", restartPolicy: "Always", ports: [{ containerPort: 53, hostPort: 53, protocol: "UDP" }] },
];

test("hostPortsOf takes those of sidecars and containers, none in the node's own network", () => {
  const of = (spec: PodSpec) => hostPortsOf({ pod: { spec }, uid: "u" });
  assert.deepEqual(
    [of({ containers, initContainers }), of({ containers, hostNetwork: true })],
    [
      [
        { podUid: "u", hostIp: "", hostPort: 53, protocol: "UDP", containerPort: 53 },
        { podUid: "u", hostIp: "192.0.2.7", hostPort: 8080, protocol: "TCP", containerPort: 80 },
      ],
      [],
    ],
  );
});
