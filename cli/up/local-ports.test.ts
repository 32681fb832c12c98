// Which published ports are on the machine's localhost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, type LocalPort, localPorts, planLocalPorts } from "./local-ports.ts";

const shown = (IP: string, PublicPort: number, Type = "tcp") => ({ IP, PrivatePort: 80, PublicPort, Type });

test("localPorts takes ports of the node's localhost, whatever the list holds", () => {
  const containers = [
    { Ports: [shown("0.0.0.0", 8080), shown("127.0.0.1", 81), shown("10.0.0.5", 82), shown("0.0.0.0", 53, "udp")] },
    { Ports: [{ PrivatePort: 5, Type: "tcp" }, shown("127.0.0.1", 8080)] },
    { Ports: "none" },
    null,
  ];
  assert.deepEqual(localPorts("n1", containers), [
    { port: 8080, protocol: "tcp", node: "n1", loopbackOnly: false },
    { port: 81, protocol: "tcp", node: "n1", loopbackOnly: true },
    { port: 53, protocol: "udp", node: "n1", loopbackOnly: false },
  ]);
  assert.deepEqual(localPorts("n1", { message: "no list" }), []);
});

test("planLocalPorts closes what nobody wants, opens what is new, and leaves a port with whom has it", () => {
  const one = (port: number, node: string, loopbackOnly = false): LocalPort => ({
    ...{ port, protocol: "tcp", node, loopbackOnly },
  });
  const udp: LocalPort = { ...one(2, "a"), protocol: "udp" };
  const open = new Map([one(1, "b"), one(2, "a"), one(3, "a"), one(4, "a")].map((port) => [keyOf(port), port]));
  assert.deepEqual(
    planLocalPorts(open, [one(1, "a"), one(1, "b"), one(2, "b"), one(3, "a", true), one(5, "a"), one(5, "b"), udp]),
    {
      close: ["tcp 2", "tcp 3", "tcp 4"],
      open: [one(2, "b"), one(3, "a", true), one(5, "a"), udp],
      taken: [one(1, "a"), one(5, "b")],
    },
  );
});
