// When a container is asked, on virtual time: eagerly until it first passes, then at its period; failures count at the period alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "../../lib/virtual-clock.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { ProbeTransport } from "./probe-transport.ts";
import { startProbes } from "./prober.ts";

test("startProbes finds a program that was slow to start within a second, and counts failures at the period", async () => {
  const clock = virtualClock(0);
  const asked: number[] = [];
  const told: string[] = [];
  const transport: Pick<ProbeTransport, "tcp"> = {
    tcp: async () => {
      asked.push(clock.now());
      if (clock.now() < 14_500) throw new Error("refused");
    },
  };
  const container = { name: "c", readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 10, failureThreshold: 9 } };
  const end = startProbes(
    { containerId: "c", container, podIp: "10.0.0.1", fresh: true, started: true },
    { clock, transport: transport as ProbeTransport, runtime: {} as Runtime },
    {
      onResult: (_, { ok }) => told.push(`${ok} ${Math.floor(clock.now() / 1000)}`),
      onFailure: () => told.push(`failure ${Math.floor(clock.now() / 1000)}`),
    },
  );
  await clock.advance(40_000);
  end();
  const gaps = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
  assert.deepEqual(
    { told, longestUntilReady: Math.max(...gaps.slice(0, -2)), after: gaps.slice(-2) },
    { told: ["failure 0", "failure 10", "true 15"], longestUntilReady: 1000, after: [10_000, 10_000] },
  );
});
