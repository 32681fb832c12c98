import assert from "node:assert/strict";
import { it } from "node:test";
import { indexHostPorts, planHostPort } from "./host-ports.ts";

const port = { hostIp: "", hostPort: 8080, protocol: "TCP", containerPort: 80 };
const brief = (wanted: typeof port, address: string) =>
  planHostPort(wanted, address).map(({ map, family, key, value }) => `${map}${family} ${key} ${value}`.trim());

it("leads a port of all addresses, or of one, to the pod: planHostPort", () => {
  assert.deepEqual(
    [
      brief(port, "10.244.1.5"),
      brief({ ...port, hostIp: "192.0.2.7", protocol: "UDP" }, "10.244.1.5"),
      brief({ ...port, hostIp: "0.0.0.0", protocol: "SCTP" }, "10.244.1.5"),
      brief(port, "fd00:10::5"),
      brief({ ...port, hostIp: "192.0.2.7" }, "fd00:10::5"),
    ],
    [
      ["host-ports4 tcp . 8080 10.244.1.5 . 80", "hairpins4 10.244.1.5 . 10.244.1.5"],
      ["bound-ports4 192.0.2.7 . udp . 8080 10.244.1.5 . 80", "hairpins4 10.244.1.5 . 10.244.1.5"],
      ["host-ports4 sctp . 8080 10.244.1.5 . 80", "hairpins4 10.244.1.5 . 10.244.1.5"],
      ["host-ports6 tcp . 8080 fd00:10::5 . 80", "hairpins6 fd00:10::5 . fd00:10::5"],
      [],
    ],
  );
});

it("lets nothing into the rules that is not an address, a port or a protocol: planHostPort", () => {
  const bad = [
    { hostIp: "1.2.3.4 }" },
    { hostPort: 0 },
    { hostPort: 65536 },
    { containerPort: 1.5 },
    { protocol: "x" },
  ];
  assert.deepEqual(
    bad.map((wrong) => brief({ ...port, ...wrong }, "10.244.1.5")),
    bad.map(() => []),
  );
});

it("keeps what did not change, and has nothing of pods without an address: indexHostPorts", () => {
  const ports = [
    { ...port, podUid: "a" },
    { ...port, podUid: "b", hostPort: 81 },
  ];
  const addresses = (b: readonly string[]) => (uid: string) => (uid === "a" ? ["10.244.1.5"] : b);
  const first = indexHostPorts(ports, addresses([]), new Map());
  const second = indexHostPorts(ports, addresses(["10.244.1.6"]), first);
  const [keyA, keyB] = [...first.keys()];
  assert.deepEqual(
    [first.get(keyB ?? "")?.elements, second.get(keyB ?? "")?.elements.length, second.get(keyA ?? "")],
    [[], 2, first.get(keyA ?? "")],
  );
});
