// The known ways out of a container, each tried from inside by attacker.c. Where an attack could fail for another reason than ours, the
// same test shows that it would have been seen.
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { readAll } from "../../node-agent/runtime/contract.ts";
import { defaultCapabilities } from "../../node-agent/runtime/defaults.ts";
import type { LinuxRuntimeOptions } from "../../node-agent/runtime/linux.ts";
import type { ContainerSpec, Runtime } from "../../node-agent/runtime/runtime.ts";
import { makeTestFolder } from "../folders.ts";
import { buildLauncher, buildProgram, openRig, type Rig } from "./rig.ts";

/** A rig whose image has the attacker, also as a setuid program. */
async function openAttackRig(more: Partial<LinuxRuntimeOptions> = {}): Promise<Rig> {
  const rig = await openRig(more);
  const image = join(rig.directory, "image");
  copyFileSync(buildProgram("attacker"), join(image, "attacker"));
  copyFileSync(buildProgram("attacker"), join(image, "setuid-attacker"));
  chmodSync(join(image, "setuid-attacker"), 0o4755);
  return rig;
}

async function attack(rig: Rig, id: string, args: readonly string[], more: Partial<ContainerSpec> = {}) {
  await start(rig, id, args, more);
  await rig.runtime.wait(id);
  return logLines(rig, id);
}

async function start(rig: Rig, id: string, args: readonly string[], more: Partial<ContainerSpec> = {}) {
  await rig.runtime.create(rig.spec(id, [], { args: ["/attacker", ...args], ...more }));
  await rig.runtime.start(id);
}

function logLines(rig: Rig, id: string): readonly string[] {
  const path = rig.logOf(id);
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  return lines.map((line) => line.split(" ").slice(3).join(" "));
}

async function execLines(runtime: Runtime, id: string, args: readonly string[]): Promise<readonly string[]> {
  const streams = await runtime.exec(id, { args, terminal: false, stdin: false });
  streams.stderr?.resume();
  return (await readAll(streams.stdout)).split("\n").slice(0, -1);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("no file of the launcher is a working directory or leads to a program (CVE-2024-21626) start, exec", async () => {
  await using rig = await openAttackRig();
  // What an escape would run: it lies in a directory that launcher and monitors hold open.
  copyFileSync(buildProgram("attacker"), join(rig.options.stateDir, "containers", "escape"));
  await start(rig, "victim", ["wait"]);
  const reached: string[] = [];
  const noteIfReached = async (what: string, started: Promise<unknown>) => {
    await started.then(
      () => reached.push(what),
      () => undefined,
    );
  };
  for (let fd = 3; fd < 24; fd++) {
    const cwd = `/proc/self/fd/${fd}`;
    const args = [`/proc/self/fd/${fd}/escape`, "status"];
    await rig.runtime.create(rig.spec(`cwd-${fd}`, ["exit", "0"], { cwd }));
    await rig.runtime.create(rig.spec(`args-${fd}`, [], { args }));
    await noteIfReached(`start in ${cwd}`, rig.runtime.start(`cwd-${fd}`));
    await noteIfReached(`start of ${args[0]}`, rig.runtime.start(`args-${fd}`));
    const streams = { terminal: false, stdin: false };
    await noteIfReached(`exec in ${cwd}`, rig.runtime.exec("victim", { ...streams, cwd, args: ["/probe", "exit"] }));
    await noteIfReached(`exec of ${args[0]}`, rig.runtime.exec("victim", { ...streams, args }));
  }
  assert.deepEqual(reached, []);
});

test("a process on its way in is a closed box, and the launcher's program cannot be written (CVE-2016-9962, CVE-2019-5736) exec", async () => {
  await using rig = await openAttackRig();
  writeFileSync(join(rig.directory, "image", "entry"), "#!/proc/self/exe\n", { mode: 0o755 });
  await start(rig, "a", ["hunt", "1500"]);
  const ended = rig.runtime.wait("a").then(() => true);
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    const streams = await rig.runtime
      .exec("a", { args: ["/entry"], terminal: false, stdin: false })
      .catch(() => undefined);
    streams?.stdout.resume();
    streams?.stderr?.resume();
    await Promise.race([streams?.exit, ended]);
  }
  assert.deepEqual(logLines(rig, "a"), [
    "ready",
    "caught: yes",
    "hidden: yes",
    "launcher: yes",
    "bare: 0",
    "traced: 0",
    "memory: 0",
    "files: 0",
    "unsealed: 0",
    "written: 0",
  ]);
});

test("a container that is the launcher's program cannot write to it (CVE-2019-5736) start", async () => {
  await using rig = await openAttackRig();
  writeFileSync(join(rig.directory, "image", "entry"), "#!/proc/self/exe\n", { mode: 0o755 });
  const before = readFileSync(rig.options.launcherPath);
  const { exitCode } = await (async () => {
    await rig.runtime.create(rig.spec("a", [], { args: ["/entry"] }));
    await rig.runtime.start("a");
    return rig.runtime.wait("a");
  })();
  const usage = logLines(rig, "a").filter((line) => line.startsWith("usage: naru-launcher"));
  assert.deepEqual([exitCode, usage.length, readFileSync(rig.options.launcherPath).equals(before)], [2, 1, true]);
});

test("links in place of devices lead nowhere (CVE-2025-31133, CVE-2025-52565) start", async () => {
  await using rig = await openAttackRig();
  const image = join(rig.directory, "image");
  mkdirSync(join(image, "dev"));
  // What runc took for the null device and the console, and mounted over masked files.
  for (const name of ["null", "console", "ptmx", "tty"])
    symlinkSync("/proc/sys/kernel/core_pattern", join(image, "dev", name));
  symlinkSync("/proc/sys/kernel", join(image, "dev", "pts"));
  const lines = await attack(rig, "a", ["sysctls"], { terminal: true });
  const keys = await attack(rig, "b", ["show", "/proc/keys"]);
  // The same in a volume that another container can write to, as /dev itself.
  const volume = join(rig.directory, "volume");
  mkdirSync(volume);
  for (const name of ["null", "console"]) symlinkSync("/proc/sys/kernel/core_pattern", join(volume, name));
  const mounts = [{ destination: "/dev", type: "bind", source: volume, options: ["rbind"] }];
  const volumeLines = await attack(rig, "c", ["show", "/proc/keys"], { mounts });
  const volumeTty = await attack(rig, "d", ["sysctls"], { mounts, terminal: true }).catch(
    (error: Error) => error.message,
  );
  assert.deepEqual(
    [lines.filter((line) => line.includes("WRITABLE")), keys, volumeLines, volumeTty],
    [[], ["/proc/keys: null"], ["/proc/keys: null"], "make /dev/console: too many symbolic links encountered"],
  );
});

test("files in place of /proc get nothing written to them (CVE-2025-52881) start, exec", async () => {
  await using rig = await openAttackRig();
  const fake = join(rig.directory, "fake-proc");
  for (const path of ["self/attr", "1/attr"]) mkdirSync(join(fake, path), { recursive: true });
  const files = ["self/attr/exec", "self/attr/current", "self/oom_score_adj", "self/tasks"];
  for (const path of files) writeFileSync(join(fake, path), "untouched");
  const mounts = [{ destination: "/proc", type: "bind", source: fake, options: ["rbind"] }];
  await start(rig, "a", ["keys", "search"], {
    mounts,
    sysctls: { "net.core.somaxconn": "77" },
    resources: { oomScoreAdj: 9 },
  });
  await start(rig, "b", ["keys", "add"], { mounts, seccomp: "unconfined" });
  await execLines(rig.runtime, "b", ["/attacker", "keys", "search"]);
  writeFileSync(join(fake, "keys"), "not the kernel's");
  const masked = await attack(rig, "c", ["show", "/proc/keys"], { mounts }).catch((error: Error) => error.message);
  assert.deepEqual(
    [files.map((path) => readFileSync(join(fake, path), "utf8")), masked],
    [files.map(() => "untouched"), "mask /proc/keys: operation not permitted"],
  );
});

test("no abstract socket of ours is in reach of the host's network (CVE-2020-15257) start", async () => {
  await using rig = await openAttackRig();
  const planted = createServer();
  const name = `planted-${process.pid}`;
  await new Promise<void>((resolve) => planted.listen(`\0${name}`, resolve));
  const namespaces = (["mount", "pid", "ipc", "cgroup"] as const).map((type) => ({ type }));
  const before = await attack(rig, "before", ["abstract"], { namespaces });
  await start(rig, "other", ["wait"]);
  await execLines(rig.runtime, "other", ["/attacker", "status"]);
  const lines = await attack(rig, "a", ["abstract"], { namespaces });
  planted.close();
  // Other programs of the machine may have some; of ours, neither one that was made meanwhile nor one by name.
  assert.deepEqual(
    lines.filter((line) => line.includes("planted-") || (line.includes("naru") && !before.includes(line))),
    [`reached @${name}`],
  );
});

test("cgroups cannot be mounted, nor made to run programs of the host (CVE-2022-0492) start", async () => {
  await using rig = await openAttackRig();
  const confined = await attack(rig, "a", ["cgroups"]);
  // Without the filter the kernel itself has to refuse.
  const unconfined = await attack(rig, "b", ["cgroups"], { seccomp: "unconfined" });
  const refused = ["memory", "pids", "devices", "rdma", "none,name=escape", "cgroup2"].map(
    (name) => `${name}: Operation not permitted`,
  );
  assert.deepEqual(
    [confined, unconfined],
    [
      [...refused, "user namespace: refused", "release_agent: refused"],
      [...refused, "user namespace: made", "release_agent: refused"],
    ],
  );
});

test("nothing of the host lies below a container's root, nor does it lead there start", async () => {
  await using rig = await openAttackRig();
  const up = await attack(rig, "a", ["below", "up"]);
  const capabilities = [...defaultCapabilities, "CAP_SYS_ADMIN"];
  const down = await attack(rig, "b", ["below", "down"], { capabilities, seccomp: "unconfined" });
  const places = ["/null", "/root/", "/stage/", "/stage/dev/", "/stage/proc/", "/stage/sys/"];
  assert.deepEqual(
    [up, down],
    [
      ["chroot: allowed", "my own program: allowed"],
      ["umount: allowed", "enter: allowed", ...places, "write: Read-only file system"],
    ],
  );
});

test("kernel settings cannot be changed start, exec", async () => {
  await using rig = await openAttackRig();
  await start(rig, "a", ["wait"]);
  const lines = [
    ...(await attack(rig, "b", ["sysctls"])),
    ...(await execLines(rig.runtime, "a", ["/attacker", "sysctls"])),
  ];
  const mounts = lines.filter((line) => /mount/.test(line)).map((line) => line.split(": ")[1]);
  assert.deepEqual(
    [
      lines.filter((line) => line.includes("WRITABLE")),
      lines.includes("/proc/sys/kernel/core_pattern: refused"),
      mounts,
    ],
    [[], true, Array(8).fill("Operation not permitted")],
  );
});

test("devices of the host can be named but not opened start, exec", async () => {
  await using rig = await openAttackRig();
  await start(rig, "a", ["wait"]);
  const inside = await execLines(rig.runtime, "a", ["/attacker", "devices"]);
  assert.deepEqual(
    [await attack(rig, "b", ["devices"]), inside].map((lines) =>
      lines.filter((line) => !/, Operation not permitted$/.test(line)),
    ),
    [["null: made, allowed"], ["null: made, allowed"]],
  );
});

test("no other system call table leads around the filter start, exec", async () => {
  await using rig = await openAttackRig();
  await start(rig, "a", ["wait"]);
  const lines = [
    ...(await attack(rig, "b", ["tables"])),
    ...(await execLines(rig.runtime, "a", ["/attacker", "tables"])),
  ];
  const unconfined = await attack(rig, "c", ["tables"], { seccomp: "unconfined" });
  assert.deepEqual(
    [
      lines.filter((line) => !line.endsWith(": refused")),
      lines.length,
      // The same tries do reach the kernel where nothing filters them.
      unconfined.some((line) => line === "i386 unshare: DONE"),
    ],
    [["x32 calls: 0", "x32 calls: 0"], 36, true],
  );
});

test("containers and processes that enter them have keyrings of their own start, exec", async () => {
  await using rig = await openAttackRig();
  const seccomp = "unconfined";
  await start(rig, "a", ["keys", "add"], { seccomp });
  await until(() => existsSync(rig.logOf("a")) && logLines(rig, "a").length === 2);
  const other = await attack(rig, "b", ["keys", "search"], { seccomp });
  const entered = await execLines(rig.runtime, "a", ["/attacker", "keys", "search"]);
  const confined = await attack(rig, "c", ["keys", "search"]);
  assert.deepEqual(
    [logLines(rig, "a"), other, entered, confined],
    [
      ["add: allowed", "find own: allowed"],
      ["search: Required key not available"],
      ["search: Required key not available"],
      ["search: Operation not permitted"],
    ],
  );
});

test("keys of whoever started the launcher are in no container's reach start, exec", async () => {
  const folder = makeTestFolder("keyed");
  const launcherPath = join(folder, "launcher");
  writeFileSync(launcherPath, `#!/bin/sh\nexec ${buildProgram("attacker")} keyed ${buildLauncher()} "$@"\n`, {
    mode: 0o755,
  });
  try {
    await using rig = await openAttackRig({ launcherPath });
    const seccomp = "unconfined";
    await start(rig, "a", ["wait"], { seccomp });
    const entered = await execLines(rig.runtime, "a", ["/attacker", "keys", "search"]);
    const started = await attack(rig, "b", ["keys", "search"], { seccomp });
    const refused = ["search: Required key not available"];
    assert.deepEqual([started, entered], [refused, refused]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a setuid program gains what the container has, or nothing with no_new_privileges start, exec", async () => {
  await using rig = await openAttackRig();
  const user = { uid: 1000, gid: 1000, additionalGids: [] };
  const outcomes: Record<string, readonly string[]> = {};
  for (const noNewPrivileges of [true, false]) {
    const name = noNewPrivileges ? "no-new" : "free";
    await start(rig, name, ["wait"], { user, noNewPrivileges });
    outcomes[`exec ${name}`] = await execLines(rig.runtime, name, ["/attacker", "exec", "/setuid-attacker"]);
    outcomes[`start ${name}`] = await attack(rig, `s-${name}`, ["exec", "/setuid-attacker"], { user, noNewPrivileges });
  }
  const [all, none] = ["00000000a80425fb", "0000000000000000"];
  const status = (uids: string, effective: string, noNew: number) => [
    `Uid:\t${uids.replaceAll(" ", "\t")}`,
    `CapEff:\t${effective}`,
    `CapBnd:\t${all}`,
    `NoNewPrivs:\t${noNew}`,
    "Seccomp:\t2",
  ];
  const [kept, gained] = [status("1000 1000 1000 1000", none, 1), status("1000 0 0 0", all, 0)];
  assert.deepEqual(outcomes, { "exec no-new": kept, "start no-new": kept, "exec free": gained, "start free": gained });
});

test("a fork bomb is held by its container's limit start", async () => {
  await using rig = await openAttackRig();
  const lines = await attack(rig, "a", ["bomb", "12"], { resources: { pidsMax: 32 } });
  assert.deepEqual(new Set(lines), new Set(["fork: Resource temporarily unavailable"]));
});

test("files in memory are bounded in number and size start", async () => {
  await using rig = await openAttackRig();
  const outcomes = [];
  for (const [kind, path] of [
    ["files", "/dev"],
    ["files", "/dev/shm"],
    ["bytes", "/dev"],
    ["bytes", "/dev/shm"],
  ] as const)
    outcomes.push(...(await attack(rig, `${kind}${path.replaceAll("/", "-")}`, [kind, path])));
  const full = (path: string) => `${path}: refused: No space left on device`;
  assert.deepEqual(outcomes, [full("/dev"), full("/dev/shm"), full("/dev"), full("/dev/shm")]);
});

test("a flood of text without lines stays within the log's files start", async () => {
  await using rig = await openAttackRig();
  await attack(rig, "a", ["log", String(64 * 1024 * 1024)]);
  const folder = join(rig.directory, "logs");
  const files = readdirSync(folder).toSorted();
  const bytes = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  assert.deepEqual(
    [files, bytes > 10 * 1024 * 1024, bytes < 33 * 1024 * 1024],
    [["a.log", "a.log.1", "a.log.2"], true, true],
  );
  assert.equal(existsSync(join(folder, "a.log.3")), false);
});
