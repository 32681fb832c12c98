// The launcher against hostile bytes, its own commands, its size, and cgroup version 2's doors as far as this machine has them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { below, type Random, seededRandom } from "../../lib/random.ts";
import { detectCgroups } from "../../node-agent/runtime/cgroups.ts";
import { readStatus } from "../../node-agent/runtime/container-directory.ts";
import { encodeFields, encodeFrame, type FrameField } from "../../node-agent/runtime/frames.ts";
import { connectSocket, LauncherError } from "../../node-agent/runtime/launcher-client.ts";
import { openRig, type Rig } from "./rig.ts";

const words = [
  "launch",
  "exec",
  "attach",
  "aside",
  "subscribe",
  "hello",
  "signal",
  "stdio",
  "clone",
  "write",
  "mask",
  "seccomp",
  "user",
];

/** Sends bytes on a connection of their own; resolves when the launcher has closed it or answered. */
async function throwAt(rig: Rig, bytes: Buffer): Promise<void> {
  const socket = await connectSocket(join(rig.options.runDir, "launcher.sock"));
  await new Promise<void>((resolve) => {
    socket.once("data", () => resolve());
    socket.once("close", () => resolve());
    socket.on("error", () => resolve());
    socket.end(bytes);
  });
  socket.destroy();
}

function noise(random: Random, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => below(random, 256)));
}

function hostileFrame(random: Random): Buffer {
  const field = (): FrameField =>
    below(random, 3) === 0 ? noise(random, below(random, 40)) : (words[below(random, words.length)] ?? "");
  const ops = Array.from({ length: below(random, 6) }, () =>
    encodeFields(Array.from({ length: 1 + below(random, 5) }, field)),
  );
  // Names no container has, so that nothing is launched for real.
  const frame = encodeFrame([1 + below(random, 9), field(), "", "no-such-container", ...ops]);
  const flips = below(random, 4);
  for (let i = 0; i < flips; i++) frame[below(random, frame.length)] = below(random, 256);
  return frame;
}

test("hostile bytes end a connection, never the launcher serve", async () => {
  await using rig = await openRig();
  const before = await rig.runtime.request("hello", []);
  const random = seededRandom(20);
  const huge = Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
  const cut = encodeFrame([1, "hello", ""]).subarray(0, 9);
  const sizeBeyond = encodeFrame([1, "hello", ""]);
  sizeBeyond.writeUInt32LE(0x7fff_ffff, 4);
  for (const bytes of [huge, cut, sizeBeyond, encodeFrame([]), encodeFrame(["x", "hello", ""])])
    await throwAt(rig, bytes);
  for (let i = 0; i < 400; i++)
    await throwAt(rig, i % 4 === 0 ? noise(random, below(random, 200)) : hostileFrame(random));
  assert.deepEqual(await rig.runtime.request("hello", []), before);
});

test("a request performed aside has a process of its own, and the launcher goes on request", async () => {
  await using rig = await openRig();
  const [version, pid] = await rig.runtime.request("hello", []);
  const [versionAside, pidAside] = await rig.runtime.request("hello", [], { aside: true });
  const refused = await Promise.allSettled(
    ["fly", "aside", "stop", ""].map((op) => rig.runtime.request(op, [], { aside: true })),
  );
  assert.deepEqual(
    {
      versionAside,
      another: pidAside !== pid,
      refused: refused.map((outcome) => (outcome.status === "rejected" ? outcome.reason.message : "done")),
      after: await rig.runtime.request("hello", []),
    },
    {
      versionAside: version,
      another: true,
      refused: ["fly", "aside", "stop", ""].map((op) => `op ${op}: function not implemented`),
      after: [version, pid],
    },
  );
});

test("a request that cannot be done says why request", async () => {
  await using rig = await openRig();
  const errors: string[] = [];
  const requests: readonly (readonly [string, readonly string[], string])[] = [
    ["fly", [], ""],
    ["hello", ["x"], ""],
    ["hello", [], "/no/such/namespace"],
    ["signal", ["1", "1", "0"], ""],
    ["launch", ["../x", "a", "b"], ""],
    ["attach", ["nobody"], ""],
  ];
  for (const [op, args, netns] of requests)
    await rig.runtime.request(op, args, { netns }).catch((error: unknown) => {
      assert.ok(error instanceof LauncherError);
      errors.push(error.message);
    });
  assert.deepEqual(errors, [
    "op fly: function not implemented",
    "hello: takes 0 to 0 arguments, got 1: invalid argument",
    "open network namespace /no/such/namespace: no such file or directory",
    "signal process 1: no such process",
    "launch: container's name and ops: invalid argument",
    "attach: no such container runs: no such process",
  ]);
});

test("a command runs in the network namespace of a sandbox netns-run", async () => {
  await using rig = await openRig();
  const sandbox = await rig.runtime.createSandbox("host-1", { hostname: "host-1", hostNetwork: false, sysctls: {} });
  const run = (path: string) =>
    execFileSync(rig.options.launcherPath, ["netns-run", path, "--", "readlink", "/proc/self/ns/net"], {
      encoding: "utf8",
    });
  const devices = execFileSync(
    rig.options.launcherPath,
    ["netns-run", sandbox.networkPath, "--", "cat", "/proc/net/dev"],
    {
      encoding: "utf8",
    },
  );
  assert.deepEqual(
    [
      run(sandbox.networkPath) === run("/proc/self/ns/net"),
      run("/proc/self/ns/net").trim(),
      devices.split("\n").length,
    ],
    [false, readlinkSync("/proc/self/ns/net"), 4],
  );
});

test("a monitor stays small supervise", async () => {
  await using rig = await openRig();
  for (let i = 0; i < 8; i++) {
    await rig.runtime.create(rig.spec(`m${i}`, ["stubborn"]));
    await rig.runtime.start(`m${i}`);
  }
  const { monitor } = readStatus(join(rig.options.stateDir, "containers", "m3")) ?? { monitor: { pid: 0 } };
  const rollup = readFileSync(`/proc/${monitor.pid}/smaps_rollup`, "utf8");
  const pssKb = Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]);
  assert.ok(pssKb > 0 && pssKb <= 300, `at most 300 kB: ${pssKb}`);
});

// Trees of version 2 without controllers are mounted beside version 1 on many machines: joining and devices can be tried there.
const unified = "/sys/fs/cgroup/unified";
const hasUnified =
  existsSync(join(unified, "cgroup.procs")) ||
  detectCgroups(readFileSync("/proc/self/mountinfo", "utf8"))?.version === 2;

test("cgroup version 2: clone joins, the device program decides, exec joins too start", {
  skip: !hasUnified,
}, async () => {
  const mount = existsSync(unified) ? unified : "/sys/fs/cgroup";
  await using rig = await openRig({ cgroups: { version: 2, mount } });
  await rig.runtime.create(rig.spec("a", ["forbidden"]));
  await rig.runtime.start("a");
  await rig.runtime.wait("a");
  const lines = readFileSync(rig.logOf("a"), "utf8").split("\n");
  await rig.runtime.create(rig.spec("b", ["stubborn"]));
  const { pid } = await rig.runtime.start("b");
  const streams = await rig.runtime.exec("b", { args: ["/probe", "stubborn"], terminal: false, stdin: false });
  const procs = readFileSync(join(mount, rig.options.cgroupParent, "pod-b/b/cgroup.procs"), "utf8")
    .trim()
    .split("\n");
  streams.kill();
  assert.deepEqual(
    [
      lines.filter((line) => /disk|null/.test(line)).map((line) => line.replace(/^.* F /, "")),
      procs.length,
      procs.includes(String(pid)),
    ],
    [["disk: Operation not permitted", "null: allowed"], 2, true],
  );
});
