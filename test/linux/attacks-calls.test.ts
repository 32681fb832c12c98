// Ways out by system calls that filters came to know late, and by what the host's pid namespace shows; tried by attacker-calls.c.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readAll } from "../../node-agent/runtime/contract.ts";
import { capabilityNames, defaultCapabilities } from "../../node-agent/runtime/defaults.ts";
import type { ContainerSpec, ExecRequest } from "../../node-agent/runtime/runtime.ts";
import { bind, linesOf } from "./look.ts";
import { buildProgram, openRig, type Rig } from "./rig.ts";

async function openCallRig(): Promise<Rig> {
  const rig = await openRig();
  copyFileSync(buildProgram("attacker-calls"), join(rig.directory, "image", "attacker"));
  return rig;
}

async function start(rig: Rig, id: string, args: readonly string[], more: Partial<ContainerSpec> = {}): Promise<void> {
  await rig.runtime.create(rig.spec(id, [], { args: ["/attacker", ...args], ...more }));
  await rig.runtime.start(id);
}

async function attack(rig: Rig, id: string, args: readonly string[], more: Partial<ContainerSpec> = {}) {
  await start(rig, id, args, more);
  await rig.runtime.wait(id);
  return linesOf(rig.logOf(id));
}

async function exec(rig: Rig, id: string, request: Partial<ExecRequest> & Pick<ExecRequest, "args">) {
  const streams = await rig.runtime.exec(id, { terminal: false, stdin: false, ...request });
  streams.stderr?.resume();
  return (await readAll(streams.stdout)).split("\n").slice(0, -1);
}

async function untilReady(rig: Rig, id: string): Promise<void> {
  while (!existsSync(rig.logOf(id)) || !linesOf(rig.logOf(id)).includes("ready")) await sleep(10);
}

const allowed = (lines: readonly string[]) => lines.flatMap((line) => (/^(.*): ALLOWED$/.exec(line) ?? []).slice(1));

test("mounts, namespaces, rings, keys, handles and modules are refused to a container, by the filter and by the kernel start, exec", async () => {
  await using rig = await openCallRig();
  const lines = await attack(rig, "a", []);
  await rig.runtime.create(rig.spec("b", ["sleep"]));
  await rig.runtime.start("b");
  const entered = await exec(rig, "b", { args: ["/attacker"] });
  // No filter: the kernel refuses what takes a capability. What is left is what a filter is for.
  const bare = await attack(rig, "c", [], { seccomp: "unconfined", capabilities: defaultCapabilities });
  // With all of them most of it can be done: the tries are real.
  const capabilities = capabilityNames.filter((name) => !/BOOT|MODULE|RAWIO|TIME|PACCT/.test(name));
  const free = await attack(rig, "d", [], { seccomp: "unconfined", capabilities });
  const refusedByFilter = lines.filter((line) => !/: (?:Operation not permitted|Function not implemented)$/.test(line));
  assert.deepEqual(
    [
      [allowed(lines), allowed(entered), lines.length === entered.length, refusedByFilter],
      allowed(bare).filter((name) =>
        /tree|fs|mount|pivot|bpf|perf|handle|module|kexec|reboot|swap|syslog|fanotify|iop|setns|unshare mount/.test(
          name,
        ),
      ),
      ["fsopen", "open_tree", "move_mount", "mount", "pivot_root", "unshare mount", "keyctl"].filter(
        (name) => !allowed(free).includes(name),
      ),
    ],
    [[[], [], true, []], [], []],
  );
});

test("in the host's pid namespace the node's own processes are closed boxes (launcher, monitors) start", async () => {
  await using rig = await openCallRig();
  const namespaces = (["network", "mount", "ipc", "uts", "cgroup"] as const).map((type) => ({ type }));
  await start(rig, "other", ["chroot", "/"]);
  const outcomes = [
    await attack(rig, "a", ["host"], { namespaces }),
    // Not the filter: it is no part of what protects them.
    await attack(rig, "b", ["host"], { namespaces, seccomp: "unconfined" }),
  ];
  assert.deepEqual(outcomes, [
    ["seen: yes", "reached: 0"],
    ["seen: yes", "reached: 0"],
  ]);
});

test("exec follows no first process that changed its root, and no working directory that is swapped exec", async () => {
  await using rig = await openCallRig();
  const volume = join(rig.directory, "volume");
  mkdirSync(join(volume, "prison"), { recursive: true });
  mkdirSync(join(volume, "work"));
  symlinkSync("/proc/self/fd/3", join(volume, "link"));
  const mounts = [bind(volume, "/v")];
  await start(rig, "a", ["chroot", "/v/prison"], { mounts });
  await untilReady(rig, "a");
  const entered = await exec(rig, "a", { args: ["/probe", "files", "list", "/v"] });
  await rig.runtime.create(rig.spec("swap", ["swap", "/v/work", "/v/link"], { mounts }));
  await rig.runtime.start("swap");
  await untilReady(rig, "swap");
  const places = new Set<string>();
  for (let i = 0; i < 60; i++) {
    const args = ["/probe", "files", "list", "."];
    const lines = await exec(rig, "a", { args, cwd: "/v/work" }).catch(() => ["refused"]);
    places.add(lines.join());
  }
  assert.deepEqual(
    [entered, [...places].filter((place) => place !== "refused" && place !== "list .:")],
    [["list /v: link prison work"], []],
  );
});
