// The Linux runtime against the kernel: isolation, limits, streams, adoption, and that nothing is left behind. Needs root.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../node-agent/runtime/container-directory.ts";
import { launchError, readAll, runtimeContract } from "../../node-agent/runtime/contract.ts";
import type { LinuxRuntime } from "../../node-agent/runtime/linux.ts";
import type { ContainerSpec, Runtime } from "../../node-agent/runtime/runtime.ts";
import { ownTest } from "../folders.ts";
import { openRig, type Rig, readCgroup, unifiedCgroups } from "./rig.ts";

runtimeContract("linux", openRig);

async function run(rig: Rig, id: string, args: readonly string[], more: Partial<ContainerSpec> = {}) {
  await rig.runtime.create(rig.spec(id, args, more));
  await rig.runtime.start(id);
  return { ended: await rig.runtime.wait(id), lines: logLines(rig.logOf(id)) };
}

function logLines(path: string): readonly string[] {
  // Of what said nothing there is no file.
  if (!existsSync(path)) return [];
  const text = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, tag, text] = /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z (?:stdout|stderr) ([FP]) ([^\n]*)$/.exec(line) ?? [];
      assert.ok(tag !== undefined, `in the CRI format: ${line}`);
      return `${text}${tag === "F" ? "\n" : ""}`;
    });
  return text.join("").split("\n").slice(0, -1);
}

function valuesOf(lines: readonly string[], label: string): readonly string[] {
  return lines.filter((line) => line.startsWith(`${label}: `)).map((line) => line.slice(label.length + 2));
}

function statusOf(lines: readonly string[], name: string): string | undefined {
  return valuesOf(lines, "status")
    .find((line) => line.startsWith(`${name}:\t`))
    ?.slice(name.length + 2);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    assert.ok(tries < 1500, "it happens within some seconds");
    await sleep(10);
  }
}

async function launcherPid(runtime: LinuxRuntime): Promise<number> {
  return Number((await runtime.request("hello", []))[1]);
}

test("a container sees itself alone, with Docker's capabilities and nothing of the host start", async () => {
  await using rig = await openRig();
  const { lines } = await run(rig, "a", ["report"], { user: { uid: 0, gid: 0, additionalGids: [7, 8] } });
  const caps = Object.fromEntries(
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) => [name, statusOf(lines, name)]),
  );
  assert.deepEqual(
    {
      ...caps,
      pid: valuesOf(lines, "pid"),
      processes: valuesOf(lines, "processes"),
      fds: valuesOf(lines, "fds"),
      cwd: valuesOf(lines, "cwd"),
      hostname: valuesOf(lines, "hostname"),
      groups: valuesOf(lines, "groups"),
      env: valuesOf(lines, "env"),
      seccomp: statusOf(lines, "Seccomp"),
      ignored: statusOf(lines, "SigIgn"),
      blocked: statusOf(lines, "SigBlk"),
      cgroups: [...new Set(valuesOf(lines, "cgroup").map((line) => line.split(":")[2]))].filter((path) => path !== "/"),
      hostPaths: valuesOf(lines, "mount").filter((line) => line.split(" ")[4]?.includes("naru")),
    },
    {
      CapInh: "0000000000000000",
      CapPrm: "00000000a80425fb",
      CapEff: "00000000a80425fb",
      CapBnd: "00000000a80425fb",
      CapAmb: "0000000000000000",
      pid: ["1"],
      processes: ["1"],
      fds: ["0 1 2"],
      cwd: ["/"],
      hostname: ["inside"],
      groups: ["7 8"],
      env: ["PATH=/usr/bin:/bin", "COLOUR=blue"],
      seccomp: "2",
      ignored: "0000000000000000",
      blocked: "0000000000000000",
      cgroups: [],
      hostPaths: [],
    },
  );
});

test("a container of another user has no capabilities, and can write to its outputs start", async () => {
  await using rig = await openRig();
  const user = { uid: 1000, gid: 1001, additionalGids: [] };
  const { lines } = await run(rig, "a", ["report"], { user, noNewPrivileges: true });
  const opened = await run(rig, "b", ["write", "/dev/stdout"], { user });
  const device = await run(rig, "c", ["write", "/dev/null"], { user });
  assert.deepEqual(
    [
      valuesOf(lines, "uid"),
      valuesOf(lines, "gid"),
      statusOf(lines, "CapEff"),
      statusOf(lines, "NoNewPrivs"),
      opened.lines,
      device.lines,
    ],
    [["1000"], ["1001"], "0000000000000000", "1", ["write /dev/stdout: allowed"], ["write /dev/null: allowed"]],
  );
});

test("a default container is denied what Docker denies start", async () => {
  await using rig = await openRig();
  const { lines } = await run(rig, "a", ["forbidden"]);
  assert.deepEqual(lines, [
    "mount: Operation not permitted",
    "keyctl: Operation not permitted",
    "unshare: Operation not permitted",
    "clone: Operation not permitted",
    "clone3: Function not implemented",
    "bpf: Operation not permitted",
    "vsock: Operation not permitted",
    "inet: allowed",
    "x32 getpid: Function not implemented",
    "i386 mount: Operation not permitted",
    "i386 getpid: allowed",
    "sysctl: Read-only file system",
    "keys: masked",
    "firmware: masked",
    "sysfs: Read-only file system",
    "disk: Operation not permitted",
    "null: allowed",
  ]);
});

test("a privileged container holds everything that the node holds start", async () => {
  await using rig = await openRig();
  const { lines } = await run(rig, "a", ["report"], { privileged: true });
  const own = /CapEff:\t(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  assert.deepEqual([statusOf(lines, "CapEff"), statusOf(lines, "Seccomp")], [own, "0"]);
});

test("a container that takes too much memory is reported as OOM-killed wait", async () => {
  await using rig = await openRig();
  const { ended } = await run(rig, "a", ["memory"], { resources: { memoryBytesMax: 16 * 1024 * 1024 } });
  const { exitCode, signal, oomKilled } = ended;
  assert.deepEqual({ exitCode, signal, oomKilled }, { exitCode: 137, signal: 9, oomKilled: true });
});

test("a container cannot have more processes than its limit start", async () => {
  await using rig = await openRig();
  const { lines } = await run(rig, "a", ["fork", "50"], { resources: { pidsMax: 10 } });
  assert.deepEqual(lines, ["forked 9, then refused"]);
});

test("stats and cgroup files show the limits stats", async () => {
  await using rig = await openRig();
  const resources = { cpuShares: 512, cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, memoryBytesMax: 64 << 20, pidsMax: 20 };
  await rig.runtime.create(rig.spec("a", ["stubborn"], { resources }));
  await rig.runtime.start("a");
  const { pids, oomKills, memoryUsageBytes, cpuUsageNs } = await rig.runtime.stats("a");
  assert.deepEqual(
    { pids, oomKills, memory: memoryUsageBytes > 0, cpu: cpuUsageNs > 0 },
    { pids: 1, oomKills: 0, memory: true, cpu: true },
  );
});

test("a failing step is named start", async () => {
  await using rig = await openRig();
  const failures: readonly (readonly [Partial<ContainerSpec>, string, number])[] = [
    [{ args: ["nowhere"] }, "exec nowhere: no such file or directory", 127],
    [{ args: ["/etc/not-executable"] }, "exec /etc/not-executable: permission denied", 126],
    [{ args: ["/etc"] }, "exec /etc: permission denied", 126],
    [{ cwd: "/probe" }, "change directory to /probe: not a directory", 128],
    [{ capabilities: ["CAP_FLY"] }, "capability CAP_FLY: no such capability", 128],
    [{ sysctls: { "kernel.panic": "1" } }, "sysctl kernel.panic: not a setting of a container's namespaces", 128],
    [
      { mounts: [{ destination: "/data", type: "bind", source: "/nonexistent/x", options: ["rbind"] }] },
      "bind /nonexistent/x: no such file or directory",
      128,
    ],
    [
      { mounts: [{ destination: "/data", type: "nofs", source: "x", options: [] }] },
      "mount nofs at /data: no such device",
      128,
    ],
    [{ seccomp: { profile: { defaultAction: "SCMP_ACT_FLY" } } }, "^seccomp profile: defaultAction: SCMP_ACT_FLY", 128],
  ];
  for (const [i, [change, message, exitCode]] of failures.entries()) {
    await rig.runtime.create(rig.spec(`f${i}`, ["exit", "0"], change));
    if (message.startsWith("^")) await assert.rejects(rig.runtime.start(`f${i}`), new RegExp(message.slice(1)));
    else await assert.rejects(rig.runtime.start(`f${i}`), launchError(message, exitCode));
  }
  assert.deepEqual(new Set((await rig.runtime.list()).map(({ state }) => state.status)), new Set(["created"]));
});

test("a link of an image leads nowhere outside start", async () => {
  await using rig = await openRig();
  const outside = join(rig.directory, "outside");
  mkdirSync(outside);
  symlinkSync(outside, join(rig.directory, "image", "absolute"));
  symlinkSync(`../../../../../..${outside}`, join(rig.directory, "image", "relative"));
  const source = join(rig.directory, "volume");
  mkdirSync(source);
  const mounts = ["/absolute/deep", "/relative/deep"].map((destination) => ({
    destination,
    type: "bind",
    source,
    options: ["rbind"],
  }));
  const { ended } = await run(rig, "a", ["write", "/absolute/deep/file"], { mounts });
  assert.deepEqual([ended.exitCode, readdirSync(source), readdirSync(outside)], [0, ["file"], []]);
});

test("a read-only root and a read-only volume cannot be written start", async () => {
  await using rig = await openRig();
  const source = join(rig.directory, "volume");
  mkdirSync(source);
  writeFileSync(join(source, "hosts"), "127.0.0.1 localhost\n");
  const mounts = [
    { destination: "/data", type: "bind", source, options: ["rbind", "ro"] },
    { destination: "/etc/hosts", type: "bind", source: join(source, "hosts"), options: ["bind"] },
  ];
  const outcomes = [];
  for (const [i, path] of ["/x", "/data/x", "/etc/hosts", "/dev/shm/x"].entries())
    outcomes.push(...(await run(rig, `a${i}`, ["write", path], { mounts, readonlyRootfs: true })).lines);
  assert.deepEqual(outcomes, [
    "write /x: Read-only file system",
    "write /data/x: Read-only file system",
    "write /etc/hosts: allowed",
    "write /dev/shm/x: allowed",
  ]);
});

test("containers of a sandbox share its network, ipc and host name createSandbox", async () => {
  await using rig = await openRig();
  const sandbox = await rig.runtime.createSandbox("pod", {
    hostname: "pod-name",
    hostNetwork: false,
    sysctls: { "net.ipv4.ip_unprivileged_port_start": "0" },
  });
  const namespaces: ContainerSpec["namespaces"] = [
    { type: "pid" },
    { type: "mount" },
    { type: "network", path: sandbox.networkPath },
    { type: "ipc", path: sandbox.ipcPath },
    { type: "uts", path: sandbox.utsPath },
  ];
  for (const id of ["a", "b"]) {
    await rig.runtime.create(rig.spec(id, ["stubborn"], { namespaces }));
    await rig.runtime.start(id);
  }
  const links = (id: string) =>
    ["net", "ipc", "uts", "pid"].map((kind) => readlinkSync(`/proc/${pidOf(rig, id)}/ns/${kind}`));
  const [a, b] = [links("a"), links("b")];
  const hostname = await execLines(rig.runtime, "a", ["/probe", "report"]);
  assert.deepEqual(
    [a.map((link, i) => link === b[i]), valuesOf(hostname, "hostname")],
    [[true, true, true, false], ["pod-name"]],
  );
});

function pidOf(rig: Rig, id: string): number {
  return readStatus(join(rig.options.stateDir, "containers", id))?.process.pid ?? 0;
}

async function execLines(runtime: Runtime, id: string, args: readonly string[]): Promise<readonly string[]> {
  const streams = await runtime.exec(id, { args, terminal: false, stdin: false });
  streams.stderr?.resume();
  return (await readAll(streams.stdout)).split("\n");
}

test("exec has the container's limits, namespaces and filter exec", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["stubborn"]));
  await rig.runtime.start("a");
  const lines = await execLines(rig.runtime, "a", ["/probe", "report"]);
  const forbidden = await execLines(rig.runtime, "a", ["/probe", "forbidden"]);
  assert.deepEqual(
    [
      ...["CapEff", "CapBnd", "Seccomp"].map((name) => statusOf(lines, name)),
      valuesOf(lines, "fds"),
      [...new Set(valuesOf(lines, "cgroup").map((line) => line.split(":")[2]))],
      forbidden[0],
    ],
    ["00000000a80425fb", "00000000a80425fb", "2", ["0 1 2"], ["/"], "mount: Operation not permitted"],
  );
  const failing = { args: ["nowhere"], terminal: false, stdin: false };
  await assert.rejects(rig.runtime.exec("a", failing), launchError("exec nowhere: no such file or directory", 127));
  const ended = await rig.runtime.exec("a", { args: ["/probe", "exit", "42"], terminal: false, stdin: false });
  assert.deepEqual(await ended.exit, { exitCode: 42 });
});

test("a terminal has a size, echoes and gives one stream exec", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["stubborn"]));
  await rig.runtime.start("a");
  const streams = await rig.runtime.exec("a", { args: ["/probe", "terminal"], terminal: true, stdin: true });
  streams.resize({ columns: 101, rows: 51 });
  streams.stdin?.write("hello\n");
  const text = await readAll(streams.stdout);
  const lines = text.split("\r\n");
  assert.deepEqual(
    [streams.stderr, lines.filter((line) => line.startsWith("got") || line.startsWith("now")), await streams.exit],
    [undefined, ["got hello", "now 101x51"], { exitCode: 5 }],
  );
  assert.match(text, /terminal 1 1 1, \/dev\/pts\/0/);
});

test("a container with a terminal and open stdin takes input from whoever attaches attach", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["terminal"], { terminal: true, stdin: true }));
  await rig.runtime.start("a");
  const streams = await rig.runtime.attach("a");
  streams.stdin?.write("typed\n");
  streams.stdout.resume();
  const { exitCode } = await rig.runtime.wait("a");
  assert.deepEqual(
    [exitCode, await streams.exit, logLines(rig.logOf("a")).filter((line) => line.startsWith("got"))],
    [5, { exitCode: 5 }, ["got typed\r"]],
  );
});

test("ending an exec's connection ends its process kill", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["stubborn"]));
  await rig.runtime.start("a");
  const streams = await rig.runtime.exec("a", { args: ["/probe", "stubborn"], terminal: false, stdin: false });
  streams.stdout.resume();
  streams.stderr?.resume();
  streams.kill();
  await streams.exit;
  await until(async () => (await rig.runtime.stats("a")).pids === 1);
});

test("containers outlive a kill of the launcher, and their ends are seen wait", async () => {
  await using rig = await openRig();
  for (const id of ["a", "b"]) {
    await rig.runtime.create(rig.spec(id, ["stubborn"]));
    await rig.runtime.start(id);
  }
  const before = pidOf(rig, "a");
  const first = await launcherPid(rig.runtime);
  process.kill(first, "SIGKILL");
  await until(async () => (await launcherPid(rig.runtime).catch(() => first)) !== first);
  await rig.runtime.signal("a", 9);
  const ended = await rig.runtime.wait("a");
  const lines = await execLines(rig.runtime, "b", ["/probe", "print", "still here"]);
  const other = await rig.reopen();
  await other.signal("b", 9);
  assert.deepEqual(
    [before > 0, ended.exitCode, lines[0], (await other.wait("b")).exitCode],
    [true, 137, "still here", 137],
  );
});

test("a container that ends while neither agent nor launcher runs is found ended wait", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["stubborn"]));
  const { pid } = await rig.runtime.start("a");
  const launcher = await launcherPid(rig.runtime);
  await rig.runtime[Symbol.asyncDispose]();
  process.kill(launcher, "SIGKILL");
  process.kill(pid, "SIGKILL");
  await until(() => existsSync(join(rig.options.stateDir, "containers", "a", "exit")));
  const other = await rig.reopen();
  assert.equal((await other.wait("a")).exitCode, 137);
});

test("a kill of its monitor takes the container down and is noticed wait", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["stubborn"]));
  const { pid } = await rig.runtime.start("a");
  const monitor = readStatus(join(rig.options.stateDir, "containers", "a"))?.monitor.pid ?? 0;
  process.kill(monitor, "SIGKILL");
  const { exitCode, signal } = await rig.runtime.wait("a");
  await until(() => !existsSync(`/proc/${pid}/root/`) || readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "));
  assert.deepEqual({ exitCode, signal }, { exitCode: 137, signal: 9 });
});

test("the launcher's program cannot be reached for writing serve", async () => {
  await using rig = await openRig();
  const pid = await launcherPid(rig.runtime);
  assert.equal(readlinkSync(`/proc/${pid}/exe`), "/memfd:naru-launcher (deleted)");
});

test("log files are rotated and bounded start", async () => {
  await using rig = await openRig();
  await run(rig, "a", ["flood", String(45 * 1024 * 1024)]);
  const folder = join(rig.directory, "logs");
  const sizes = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name)).length < 11 * 1024 * 1024]);
  assert.deepEqual(sizes.toSorted(), [
    ["a.log", true],
    ["a.log.1", true],
    ["a.log.2", true],
  ]);
});

test("nothing is left behind remove, tearDown", async () => {
  const state = () => ({
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(`naru-${ownTest}-runtime-`)),
    cgroups: readdirSync("/sys/fs/cgroup")
      .filter((controller) => existsSync(`/sys/fs/cgroup/${controller}/naru-${ownTest}`))
      .toSorted(),
    processes: readdirSync("/proc").filter((name) => {
      try {
        return /^\d+$/.test(name) && /naru-monitor leak-/.test(readFileSync(`/proc/${name}/cmdline`, "utf8"));
      } catch {
        return false;
      }
    }),
  });
  const before = state();
  {
    await using rig = await openRig();
    await rig.runtime.createSandbox("leak", { hostname: "x", hostNetwork: false, sysctls: {} });
    for (let i = 0; i < 5; i++) {
      await rig.runtime.create(rig.spec(`leak-${i}`, [i % 2 === 0 ? "stubborn" : "exit", "0"]));
      await rig.runtime.start(`leak-${i}`);
    }
    assert.notDeepEqual(state(), before);
    for (let i = 0; i < 4; i++) await rig.runtime.remove(`leak-${i}`);
    assert.deepEqual(readdirSync(join(rig.options.stateDir, "containers")), ["leak-4"]);
  }
  await until(() => state().processes.length === 0);
  assert.deepEqual(state(), before);
});

test("whoever attaches after a start with holdOutput misses nothing attach", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["print", "soon over"]));
  await rig.runtime.start("a", { holdOutput: true });
  const streams = await rig.runtime.attach("a");
  const [stdout, stderr, { exitCode }] = await Promise.all([
    readAll(streams.stdout),
    readAll(streams.stderr),
    streams.exit,
  ]);
  assert.deepEqual(
    { stdout, stderr, exitCode, log: logLines(rig.logOf("a")).toSorted() },
    {
      stdout: "soon over\n",
      stderr: "soon over on stderr\n",
      exitCode: 0,
      log: ["soon over", "soon over on stderr"],
    },
  );
});

test("much is passed through and back at once, whoever is slower attach", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["cat"], { stdin: true }));
  await rig.runtime.start("a", { holdOutput: true });
  const streams = await rig.runtime.attach("a");
  const big = "0123456789abcdef".repeat(200_000);
  streams.stdin?.end(big);
  // Nobody reads for a while: all that lies between is full by then.
  await sleep(200);
  const [stdout] = await Promise.all([readAll(streams.stdout), readAll(streams.stderr)]);
  assert.deepEqual({ same: stdout === big, exit: await streams.exit }, { same: true, exit: { exitCode: 0 } });
});

test("a container that nobody attaches to ends all the same start", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["print", "alone"]));
  await rig.runtime.start("a", { holdOutput: true });
  const { exitCode } = await rig.runtime.wait("a");
  assert.deepEqual([exitCode, logLines(rig.logOf("a")).length], [0, 2]);
});

test("what is frozen ends by a signal when it goes on at the latest, and can be removed pause", async () => {
  await using rig = await openRig();
  for (const id of ["a", "b"]) {
    await rig.runtime.create(rig.spec(id, ["stubborn"]));
    await rig.runtime.start(id);
    await rig.runtime.pause(id);
    await rig.runtime.pause(id);
  }
  const [pid] = await rig.runtime.processes("a");
  await rig.runtime.signal("a", 9);
  await sleep(50);
  // The freezer of cgroup v2 lets what is frozen be killed.
  assert.equal(existsSync(`/proc/${pid}/exe`), !unifiedCgroups);
  if (!unifiedCgroups) await rig.runtime.resume("a");
  assert.equal((await rig.runtime.wait("a")).exitCode, 137);
  await rig.runtime.remove("b");
  assert.deepEqual(
    (await rig.runtime.list()).map(({ id }) => id),
    ["a"],
  );
});

test("limits of a running container change, up and down, and stay for its next start update", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["stubborn"], { resources: { memoryBytesMax: 64 << 20, pidsMax: 10 } }));
  await rig.runtime.start("a");
  const pidsMax = () => readCgroup(rig, "pod-a/a", ["pids", "pids.max", "pids.max"]);
  const limits: (readonly [string, string])[] = [];
  for (const megabytes of [128, 32]) {
    await rig.runtime.update("a", { memoryBytesMax: megabytes << 20, pidsMax: megabytes });
    limits.push([readCgroup(rig, "pod-a/a", ["memory", "memory.limit_in_bytes", "memory.max"]), pidsMax()]);
  }
  const again = await rig.reopen();
  await again.signal("a", 9);
  await again.wait("a");
  await again.start("a");
  limits.push(["after a new start", pidsMax()]);
  assert.deepEqual(limits, [
    [String(128 << 20), "128"],
    [String(32 << 20), "32"],
    ["after a new start", "32"],
  ]);
});

test("start again of one that ended just now finds the folders of its overlay free", async () => {
  await using rig = await openRig();
  const { rootfs, ...spec } = rig.spec("a", ["exit", "6"]);
  // With an index the kernel refuses folders that another overlay uses.

  await rig.runtime.create({ ...spec, rootfs: { ...rootfs, options: [...rootfs.options, "index=on"] } });
  const codes: number[] = [];
  for (let round = 0; round < 10; round++) {
    await rig.runtime.start("a");
    codes.push((await rig.runtime.wait("a")).exitCode);
  }
  assert.deepEqual(codes, Array(10).fill(6));
});

test("a device that a container was given is there and may be used, another is not create", {
  skip: unifiedCgroups,
}, async () => {
  await using rig = await openRig();
  const device = { path: "/dev/mine", type: "c", major: 10, minor: 229, mode: 0o666, access: "rw" } as const;
  const { lines } = await run(rig, "a", ["report"], { devices: [device] });
  assert.ok(lines.length > 0);
  const list = readCgroup(rig, "pod-a/a", ["devices", "devices.list", ""]).split("\n");
  assert.deepEqual([list.includes("c 10:229 rw"), list.includes("c 10:200 rwm")], [true, false]);
});
