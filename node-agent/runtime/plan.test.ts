// A launch plan, whole, as a golden file: `REWRITE=1` writes it anew.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { planCgroup } from "./cgroups.ts";
import type { LaunchOp } from "./launch-op.ts";
import { commonOps, planExec, planLaunch } from "./plan.ts";
import type { ContainerSpec } from "./runtime.ts";
import { sampleSpec } from "./sample-spec.ts";

const spec = sampleSpec;
const layout = { version: 1, mounts: { memory: "/cg/memory", pids: "/cg/pids" } } as const;
const context = {
  rootfsPath: "/state/web-0/rootfs",
  cgroup: planCgroup(layout, { parent: "/naru", path: spec.cgroupPath, resources: spec.resources, allDevices: false }),
  deviceFilter: undefined,
  seccompFilter: Buffer.from("filter"),
  logFileBytesMax: 1000,
  logFilesMax: 2,
  hostDevices: [],
};

function golden(name: string, ops: readonly LaunchOp[]): void {
  const path = new URL(`testdata/${name}`, import.meta.url);
  const text = `${ops.map((op) => op.map(String).join(" ")).join("\n")}\n`;
  if (process.env["REWRITE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}

test("every step of a container in a sandbox planLaunch", () => {
  golden("launch.txt", planLaunch(spec, context));
});

test("every step of a container with users of its own planLaunch", () => {
  const idMapping = { hostId: 131_072, size: 65_536 };
  const namespaces = [...spec.namespaces, { type: "user", path: "/run/s/user" } as const];
  const mounts = [{ destination: "/data", type: "bind", source: "/volumes/a", options: ["rbind", "ridmap"] }];
  golden("users.txt", planLaunch({ ...spec, idMapping, namespaces, mounts, terminal: true }, context));
  const request = { args: ["sh"], terminal: false, stdin: false };
  const exec = planExec({ ...spec, idMapping, namespaces }, { pid: 12, startTicks: "345" }, request, context);
  assert.deepEqual(
    exec.filter(([name]) => name === "enter" || name === "own-stdio"),
    [
      ["enter", "pid"],
      ["enter", "mount network uts cgroup"],
      ["own-stdio", 132_072],
      ["enter", "user"],
    ],
  );
});

test("every step of another process in it planExec", () => {
  const request = { args: ["sh"], env: ["A=2"], terminal: true, stdin: true };
  golden("exec.txt", planExec(spec, { pid: 12, startTicks: "345" }, request, context));
});

test("a sandbox waits for what has a process namespace of its own commonOps", () => {
  const ops: readonly LaunchOp[] = [["stdio"], ["clone-apart"], ["monitor"], ["exec"]];
  assert.deepEqual(
    [ops, [["pid-namespace", "/proc/7/ns/pid"], ...ops] as const, [["into-cgroup", "/x"], ...ops] as const].map(
      commonOps,
    ),
    [[["stdio"], ["clone-apart"]], undefined, undefined],
  );
});

test("settings of the node are refused planLaunch", () => {
  const plan = (change: Partial<ContainerSpec>) => () => planLaunch({ ...spec, ...change }, context);
  assert.throws(plan({ sysctls: { "kernel.shmmax": "1" } }), /needs a ipc namespace, the container uses the node's/);
  assert.throws(plan({ sysctls: { "net/../kernel/panic": "1" } }), /not a setting of a container's namespaces/);
  assert.throws(plan({ namespaces: [{ type: "user" }], sysctls: {} }), /user namespace: it is joined by its path/);
  const mounted = (change: object) =>
    plan({ mounts: [{ destination: "/x", type: "bind", source: "/y", options: [], ...change }] });
  assert.throws(mounted({ type: "tmpfs", subPath: "a" }), /mount \/x: only a bind mount can have a subPath/);
  assert.throws(mounted({ destination: "//proc/./self" }), /nothing may be mounted inside of \/proc/);
});

test("a security module's profile is asked for within the container's root, for its program and others planLaunch, planExec", () => {
  const confined = { ...spec, appArmorProfile: "mine" };
  const request = { args: ["sh"], terminal: false, stdin: false };
  const plans = [planLaunch(confined, context), planExec(confined, { pid: 12, startTicks: "345" }, request, context)];
  assert.deepEqual(
    plans.map((ops) =>
      ops
        .filter(([name]) => ["pivot", "enter", "apparmor", "exec"].includes(name))
        .map(([name, first]) => (name === "pivot" || name === "exec" ? name : `${name} ${first}`)),
    ),
    [
      ["pivot", "apparmor mine", "exec"],
      ["enter pid", "enter mount network uts cgroup", "apparmor mine", "exec"],
    ],
  );
});
