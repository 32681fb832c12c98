import assert from "node:assert/strict";
import { test } from "node:test";
import { type FoundProcess, planSweep } from "./sweep.ts";

const place = { runDir: "/run/naru/demo", dataDir: "/data", cgroup: "/naru-demo" };
const found = (pid: number, more: Partial<FoundProcess> = {}): FoundProcess => ({
  ...{ pid, startTicks: "1", commandLine: `\0program ${pid}\0`, cgroups: ["/", "/user"], network: "own" },
  ...more,
});
const planned = (processes: readonly FoundProcess[], hosts: readonly string[] = []) =>
  planSweep(processes, { place, hosts, own: "own", children: [{ pid: 1, startTicks: "1" }] }).map(({ pid }) => pid);

test("what is in the cluster's cgroups is swept, planSweep", () => {
  const cgroups = [["/", "/naru-demo/node-1/pod"], ["/naru-demo"], ["/naru-demo-2/node-1"], ["/other/naru-demo"]];
  assert.deepEqual(planned(cgroups.map((paths, i) => found(i + 10, { cgroups: paths }))), [10, 11]);
});

test("what is in a host's network namespace is swept, planSweep", () => {
  const networks = ["host", "other", "own", undefined];
  assert.deepEqual(
    planned(
      networks.map((network, i) => found(i + 10, { network })),
      ["host", "own"],
    ),
    [10],
  );
});

test("a launcher is swept with its monitors though their host's namespace has no name any more, planSweep", () => {
  const launcher = (runDir: string) => `naru-launcher\0serve\0${runDir}/node-1/runtime\0/data/containers\0`;
  const processes = [
    found(10, { commandLine: launcher("/run/naru/demo"), network: "lost" }),
    found(11, { network: "lost" }),
    found(12, { commandLine: launcher("/run/naru/demo-2"), network: "another" }),
    found(13, { network: "another" }),
  ];
  assert.deepEqual(planned(processes), [10, 11]);
});

test("a child is swept unless its number belongs to another process now, planSweep", () => {
  assert.deepEqual([planned([found(1), found(2)]), planned([found(1, { startTicks: "2" })])], [[1], []]);
});
