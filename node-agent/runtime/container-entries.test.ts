import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger } from "../../lib/log.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { startTicksOf } from "./container-directory.ts";
import { ContainerEntries } from "./container-entries.ts";
import { sampleSpec } from "./sample-spec.ts";

const spec = { ...sampleSpec, id: "web-0" };
/** No process ever began then. */
const nobody = `${process.pid} never`;
const ourselves = `${process.pid} ${startTicksOf(process.pid)}`;

function makeEntries(files: Readonly<Record<string, string>> = {}) {
  const directory = mkdtempSync(join(tmpdir(), `naru-entries-${process.pid}-`));
  const killed: string[] = [];
  const open = () =>
    new ContainerEntries({
      directory,
      killRest: ({ id }) => killed.push(id),
      clock: virtualClock(9000),
      log: silentLogger,
    });
  open().add({ ...spec, logPath: join(directory, "log") });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, spec.id, name), text);
  const entries = open();
  entries.open();
  return { directory, killed, entries, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

function statesOf(entries: ContainerEntries) {
  return entries.list().map(({ state }) => state);
}

const killedState = {
  ...{ status: "stopped", exitCode: 137, signal: 9, oomKilled: false },
  ...{ startedAtMs: 5000, finishedAtMs: 9000 },
} as const;

test("a container's state is read from its directory ContainerEntries.open", () => {
  using created = makeEntries();
  using running = makeEntries({ status: `${ourselves} ${ourselves} 5000\n` });
  using stopped = makeEntries({ status: `${nobody} ${nobody} 5000\n`, exit: "3 0 0 5000 6000\n" });
  assert.deepEqual(
    [created, running, stopped].flatMap(({ entries }) => statesOf(entries)),
    [
      { status: "created" },
      { status: "running", pid: process.pid, startedAtMs: 5000 },
      { status: "stopped", exitCode: 3, oomKilled: false, startedAtMs: 5000, finishedAtMs: 6000 },
    ],
  );
});

test("a container whose monitor is gone ends, with what is left of it ContainerEntries.open", () => {
  using made = makeEntries({ status: `${nobody} ${nobody} 5000\n` });
  assert.deepEqual([statesOf(made.entries), made.killed], [[killedState], [spec.id]]);
  made.entries.refresh();
  assert.deepEqual(made.killed, [spec.id]);
});

test("what a crash left of a container that never was goes ContainerEntries.open", () => {
  using made = makeEntries();
  mkdirSync(join(made.directory, "half"));
  writeFileSync(join(made.directory, "half", "spec.json"), '{"id":');
  made.entries.open();
  assert.deepEqual(readdirSync(made.directory), [spec.id]);
});

test("the end is what the launcher tells, at once afterwards ContainerEntries.wait", async () => {
  using made = makeEntries();
  const { entries } = made;
  const waiting = entries.wait(spec.id);
  entries.onContainer("started", spec.id, `${ourselves} ${ourselves} 5000\n`);
  const { status } = entries.get(spec.id).state;
  entries.onContainer("exited", spec.id, "137 9 0 5000 9000\n");
  assert.deepEqual([status, await waiting, await entries.wait(spec.id)], ["running", killedState, killedState]);
  assert.throws(() => entries.running(spec.id), { message: "container web-0 does not run: it is stopped" });
});

test("a container that has ended already stays so ContainerEntries.started", async () => {
  using made = makeEntries();
  const { entries } = made;
  entries.begin(spec.id);
  entries.onContainer("exited", spec.id, "137 9 0 5000 9000\n");
  const identity = { pid: process.pid, startTicks: "0" };
  entries.started(spec.id, { process: identity, monitor: identity, startedAtMs: 5000 });
  assert.deepEqual(statesOf(entries), [killedState]);
});

test("all who ask meanwhile wait for one start ContainerEntries.startOnce", async () => {
  using made = makeEntries();
  const { entries } = made;
  const answer = Promise.withResolvers<{ readonly pid: number }>();
  let starts = 0;
  const start = () => {
    starts += 1;
    return answer.promise;
  };
  const both = [entries.startOnce(spec.id, start), entries.startOnce(spec.id, start)];
  answer.resolve({ pid: 7 });
  assert.deepEqual([await Promise.all(both), starts], [[{ pid: 7 }, { pid: 7 }], 1]);
});

test("an end that nobody told is found while the start goes on ContainerEntries.look", async () => {
  using made = makeEntries();
  const { entries, directory } = made;
  const over = Promise.withResolvers<{ readonly pid: number }>();
  const starting = entries.startOnce(spec.id, () => over.promise);
  const waiting = entries.wait(spec.id);
  writeFileSync(join(directory, spec.id, "status"), `${nobody} ${nobody} 5000\n`);
  writeFileSync(join(directory, spec.id, "exit"), "3 0 0 5000 6000\n");
  entries.refresh();
  const refreshed = statesOf(entries);
  entries.look(spec.id);
  over.resolve({ pid: 1 });
  await starting;
  const { exitCode } = await waiting;
  assert.deepEqual([refreshed, exitCode], [[{ status: "created" }], 3]);
});
