// Sandboxes that wait for containers: taken by plans that begin as theirs do, no more than asked for, and gone with their launcher,
// however it ends. The attacks and the runtime's own tests hold in them as well.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, readOptional, readStatus, startTicksOf } from "../../node-agent/runtime/container-directory.ts";
import type { ContainerSpec } from "../../node-agent/runtime/runtime.ts";
import { openRig, type Rig, unifiedCgroups } from "./rig.ts";

const here = new URL(".", import.meta.url).pathname;
const skip = unifiedCgroups ? "version 2's cgroups are entered by clone" : false;

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 500) throw new Error(`it does not come to this: ${what}`);
    await sleep(10);
  }
}

async function launcherOf({ runtime }: Rig): Promise<number> {
  return Number((await runtime.request("hello", []))[1]);
}

/** Processes whose parent is this one. */
function childrenOf(parent: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return new RegExp(`^PPid:\\t${parent}$`, "m").test(readFileSync(`/proc/${pid}/status`, "utf8"));
      } catch {
        return false;
      }
    });
}

function monitorsOf(launcher: number, title: string): readonly number[] {
  return childrenOf(launcher).filter((pid) => readOptional(`/proc/${pid}/cmdline`)?.startsWith(title));
}

/** Monitors that wait, and the first processes of their sandboxes. */
async function waitingIn(rig: Rig): Promise<readonly number[]> {
  const waiting = monitorsOf(await launcherOf(rig), "naru-waiting");
  return waiting.flatMap((pid) => [pid, ...childrenOf(pid)]);
}

/** The one that waits for any start, once it does. */
async function spareOf(rig: Rig): Promise<number> {
  // A launcher that is asked time and again makes none.
  const launcher = await launcherOf(rig);
  await until("a monitor is spare", () => monitorsOf(launcher, "naru-spare").length === 1);
  return monitorsOf(launcher, "naru-spare")[0] ?? 0;
}

function identities(pids: readonly number[]) {
  return pids.map((pid) => ({ pid, startTicks: startTicksOf(pid) ?? "" }));
}

async function warm(rig: Rig, id: string): Promise<void> {
  await until(`sandboxes wait for ${id}`, () => rig.runtime.warm(id));
}

async function create(rig: Rig, id: string, more: Partial<ContainerSpec> = {}): Promise<void> {
  await rig.runtime.create(rig.spec(id, ["stubborn"], more));
}

/** The container's process and its monitor. */
async function start(rig: Rig, id: string): Promise<readonly (number | undefined)[]> {
  const { pid } = await rig.runtime.start(id);
  return [readStatus(join(rig.options.stateDir, "containers", id))?.monitor.pid, pid];
}

test("a container takes what waits for its kind, and another kind does not start", { skip }, async () => {
  await using rig = await openRig({ waiting: 1 });
  for (const id of ["a", "b", "other"]) await create(rig, id, id === "other" ? { maskedPaths: ["/proc/kcore"] } : {});
  await warm(rig, "a");
  const waiting = await waitingIn(rig);
  const other = await start(rig, "other");
  const taken = await start(rig, "a");
  assert.deepEqual([waiting.length, taken, other.some((pid) => waiting.includes(pid ?? 0))], [2, waiting, false]);
});

test("no more wait than are asked for warm", { skip }, async () => {
  await using rig = await openRig({ waiting: 3 });
  await create(rig, "a");
  await warm(rig, "a");
  await sleep(100);
  assert.equal((await waitingIn(rig)).length, 6);
});

test("what waits goes with the launcher, be it stopped or killed stop", { skip }, async () => {
  for (const way of ["stopped", "killed"]) {
    await using rig = await openRig({ waiting: 2 });
    await create(rig, "a");
    await warm(rig, "a");
    const waiting = identities(await waitingIn(rig));
    const launcher = await launcherOf(rig);
    if (way === "killed") process.kill(launcher, "SIGKILL");
    else await rig.runtime.tearDown();
    await until(`nobody waits for a launcher that was ${way}`, () => !waiting.some(isAlive));
    await rig.reopen();
    assert.equal(waiting.length, 4);
  }
});

test("one that is killed while it waits is made anew start", { skip }, async () => {
  await using rig = await openRig({ waiting: 1 });
  for (const id of ["a", "b"]) await create(rig, id);
  for (const [i, id] of ["a", "b"].entries()) {
    await warm(rig, id);
    const waiting = await waitingIn(rig);
    process.kill(waiting[i] ?? 0, "SIGKILL");
    await until("both processes are gone", () => !waiting.some((pid) => startTicksOf(pid) !== undefined));
    await warm(rig, id);
    const anew = await waitingIn(rig);
    assert.deepEqual(await start(rig, id), anew);
  }
});

test("a start without a sandbox takes the spare monitor, and goes on without one start", async () => {
  await using rig = await openRig();
  for (const id of ["a", "b"]) await create(rig, id);
  const spare = await spareOf(rig);
  const [first] = await start(rig, "a");
  const next = await spareOf(rig);
  process.kill(next, "SIGKILL");
  await until("that one is gone", () => startTicksOf(next) === undefined);
  const [second] = await start(rig, "b");
  await spareOf(rig);
  assert.deepEqual([first === spare, next === spare, second === next], [true, false, false]);
});

test("the spare monitor goes with the launcher stop", async () => {
  await using rig = await openRig();
  const spare = identities([await spareOf(rig)]);
  process.kill(await launcherOf(rig), "SIGKILL");
  await until("it is gone", () => !spare.some(isAlive));
  await rig.reopen();
});

test("a plan whose rest is too long for one that waits is performed anew start", { skip }, async () => {
  await using rig = await openRig({ waiting: 1 });
  const env = Array.from({ length: 2000 }, (_, i) => `NUMBER_${i}=${"x".repeat(60)}`);
  await create(rig, "long", { env });
  await warm(rig, "long");
  const waiting = await waitingIn(rig);
  const started = await start(rig, "long");
  assert.deepEqual(
    [started.some((pid) => waiting.includes(pid ?? 0)), (await rig.runtime.list())[0]?.state.status],
    [false, "running"],
  );
});

test("containers in them are as others are start", { skip }, () => {
  const tests = ["runtime", "attacks", "mounts"].map((name) => join(here, `${name}.test.ts`));
  const { status, stdout } = spawnSync(process.execPath, ["--test", "--test-concurrency=1", ...tests], {
    encoding: "utf8",
    // Not a part of this test's own run, which would tell it to report in another way.
    env: { PATH: process.env["PATH"], NARU_TEST_WAITING: "1" },
    timeout: 300_000,
  });
  assert.equal(status, 0, stdout.slice(-4000));
});
