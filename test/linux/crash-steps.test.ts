// kill -9 at every step of a start, of whoever performs it: nothing is lost that was promised, and nothing is left when it is removed.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { isAlive, readStatus } from "../../node-agent/runtime/container-directory.ts";
import { LauncherGoneError } from "../../node-agent/runtime/launcher-client.ts";
import { ociProgram } from "../oci-programs.ts";
import { openRig, type Rig, unifiedCgroups } from "./rig.ts";

process.env["NARU_TEST_LAUNCHER"] = "crashing";

// As in launcher.h: around the monitor's two records.
const aroundRecords = [1000, 1001, 1002, 1003];
/** Once another runtime has made the container, and once it has started it. */
const aroundStart = [1004, 1005];
const opsMax = 200;

interface Remains {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
  readonly directories: readonly string[];
}

const nothing: Remains = { mounts: [], cgroups: [], processes: [], directories: [] };

function remains(rig: Rig, id: string): Remains {
  return {
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(rig.directory)),
    cgroups: readdirSync("/sys/fs/cgroup")
      .map((controller) => `/sys/fs/cgroup/${controller}${rig.options.cgroupParent}/pod-${id}`)
      .filter((path) => existsSync(path)),
    processes: readdirSync("/proc").filter((name) => {
      try {
        return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "utf8").includes(`naru-monitor ${id}`);
      } catch {
        return false;
      }
    }),
    directories: [join(rig.options.stateDir, "containers"), join(rig.options.runDir, "oci", "runc")].flatMap((path) =>
      existsSync(path) ? readdirSync(path) : [],
    ),
  };
}

async function untilNothingIsLeft(rig: Rig, id: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const left = remains(rig, id);
    if (isDeepStrictEqual(left, nothing)) return;
    if (tries > 500) assert.deepEqual(left, nothing, `of ${id}`);
    await sleep(10);
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 500) throw new Error(`it does not come to this: ${what}`);
    await sleep(10);
  }
}

/** What the runtime says of the container, against what is so. */
async function truth(rig: Rig, id: string): Promise<string> {
  const container = (await rig.runtime.list()).find((one) => one.id === id);
  const status = readStatus(join(rig.options.stateDir, "containers", id));
  const alive = status !== undefined && isAlive(status.process);
  const said = container?.state.status ?? "absent";
  return (said === "running") === alive ? "true" : `says ${said}, and its process ${alive ? "lives" : "is gone"}`;
}

/** Does it again when the launcher went meanwhile: some steps come after the answer to a start. */
async function despiteCrash<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof LauncherGoneError)) throw error;
    return await act();
  }
}

/** False when there is no such step. */
async function crash(rig: Rig, step: number, who: string): Promise<boolean> {
  const [id, request] = [`${who}-${step}`, join(rig.options.stateDir, "crash-at")];
  await rig.runtime.create(rig.spec(id, ["stubborn"]));
  writeFileSync(request, `${step} ${who}\n`);
  const started = await rig.runtime.start(id).then(
    () => true,
    () => false,
  );
  // Every second time the agent is killed as well.
  if (step % 2 === 1) await rig.reopen();
  await until(`${id} is as the runtime says`, async () => (await truth(rig, id)) === "true");
  if (started && who === "launcher") {
    // It asked for nothing, so it goes on; and its end is known, though the agent and the launcher were away.
    await despiteCrash(() => rig.runtime.signal(id, 9));
    assert.equal((await despiteCrash(() => rig.runtime.wait(id))).exitCode, 137, id);
  } else if (started) {
    await rig.runtime.signal(id, 9);
    await rig.runtime.wait(id);
  } else {
    // A failed start is no end: it can be tried again.
    rmSync(request, { force: true });
    await rig.runtime.start(id);
  }
  const happened = !existsSync(request);
  rmSync(request, { force: true });
  await despiteCrash(() => rig.runtime.remove(id));
  await untilNothingIsLeft(rig, id);
  return happened;
}

async function everyStep(
  rig: Rig,
  who: string,
  { records, stepsMin }: { records: readonly number[]; stepsMin: number },
) {
  let step = 0;
  while (step < opsMax && (await crash(rig, step, who))) step++;
  const performed: number[] = [];
  for (const point of records) if (await crash(rig, point, who)) performed.push(point);
  assert.deepEqual([step > stepsMin, performed], [true, records]);
}

for (const who of ["process", "monitor", "launcher"])
  test(`a kill of the ${who} at any step leaves nothing behind start, remove`, async () => {
    await using rig = await openRig();
    // The process has no part in the records.
    await everyStep(rig, who, { records: who === "process" ? [] : aroundRecords, stepsMin: 40 });
  });

for (const who of ["process", "monitor", "launcher"])
  test(`a kill of the ${who} at any step of another runtime's container leaves nothing behind start, remove`, async () => {
    await using rig = await openRig({ ociPrograms: [await ociProgram("runc")] }, { runtime: "runc" });
    // There the process of the plan's is the runtime itself, which has ended by then.
    await everyStep(rig, who, { records: who === "process" ? [] : [...aroundStart, ...aroundRecords], stepsMin: 10 });
  });

/** As `crash`, while a sandbox is made to wait, or when it is taken. False when there is no such step. */
async function crashWaiting(rig: Rig, step: number, [who, when]: readonly [who: string, when: "made" | "taken"]) {
  const [id, request] = [`${who}-${when}-${step}`, join(rig.options.stateDir, "crash-at")];
  const ask = () => rig.runtime.warm(id).catch(() => false);
  // A kind of its own: none of it waits yet.
  await rig.runtime.create(rig.spec(id, ["stubborn"], { maskedPaths: [`/proc/${id}`] }));
  if (when === "taken") await until("one waits", ask);
  writeFileSync(request, `${step} ${who}\n`);
  if (when === "made") await until("one waits, or it happened", async () => (await ask()) || !existsSync(request));
  const happenedEarly = !existsSync(request);
  if (when === "made") rmSync(request, { force: true });
  const started = await rig.runtime.start(id).then(
    () => true,
    () => false,
  );
  const happened = when === "made" ? happenedEarly : !existsSync(request);
  rmSync(request, { force: true });
  await until(`${id} is as the runtime says`, async () => (await truth(rig, id)) === "true");
  if (!started) await rig.runtime.start(id);
  await rig.runtime.signal(id, 9);
  await rig.runtime.wait(id);
  await rig.runtime.remove(id);
  await untilNothingIsLeft(rig, id);
  return happened;
}

for (const who of ["process", "monitor", "launcher"])
  test(`a kill of the ${who} at any step of one that waits leaves nothing behind start, remove`, {
    skip: unifiedCgroups,
  }, async () => {
    await using rig = await openRig({ waiting: 1 });
    let step = 0;
    while (step < opsMax && (await crashWaiting(rig, step, [who, "made"]))) step++;
    const ahead = step;
    while (step < opsMax && (await crashWaiting(rig, step, [who, "taken"]))) step++;
    assert.deepEqual([ahead > 20, step > ahead + 20], [true, true]);
  });

test("an agent that goes at any moment of a start leaves nothing behind reopen, remove", async () => {
  await using rig = await openRig();
  for (let round = 0; round < 30; round++) {
    const id = `agent-${round}`;
    await rig.runtime.create(rig.spec(id, ["stubborn"]));
    const starting = rig.runtime.start(id).catch(() => undefined);
    for (let turn = 0; turn < round; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    await rig.reopen();
    await starting;
    await until(`${id} is as the runtime says`, async () => (await truth(rig, id)) === "true");
    await rig.runtime.remove(id);
    await untilNothingIsLeft(rig, id);
  }
});

test("the end and the output of a container are not lost while nobody looks wait", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["flood", "100000"]));
  const launcher = Number((await rig.runtime.request("hello", []))[1]);
  await rig.runtime.start("a").catch(() => undefined);
  await rig.runtime[Symbol.asyncDispose]();
  process.kill(launcher, "SIGKILL");
  await until("its end is recorded", () => existsSync(join(rig.options.stateDir, "containers", "a", "exit")));
  const runtime = await rig.reopen();
  const bytes = readFileSync(rig.logOf("a"), "utf8")
    .split("\n")
    .reduce((sum, line) => sum + (line.split(" F ")[1]?.length ?? 0), 0);
  assert.deepEqual([(await runtime.wait("a")).exitCode, bytes], [0, 98 * 1023]);
});
