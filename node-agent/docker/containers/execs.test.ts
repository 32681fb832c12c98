// Which further processes are still known when many have been made.
import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../lib/random.ts";
import { virtualClock } from "../../../lib/virtual-clock.ts";
import { JsonObject } from "../http/json.ts";
import { Execs } from "./execs.ts";
import type { Life } from "./life.ts";
import type { DockerParts } from "./parts.ts";
import type { ContainerRecord } from "./record.ts";

const record = {
  id: "c",
  name: "c",
  phase: "running",
  config: { Labels: {}, Image: "i" },
} as unknown as ContainerRecord;

function openExecs() {
  const clock = virtualClock();
  const ids = new Set<string>();
  const running = { exit: new Promise(() => {}) };
  const ended = { exit: Promise.resolve({ exitCode: 0 }) };
  const parts = {
    ...{ clock, random: seededRandom(1), events: { emit: () => {} }, store: { get: () => record } },
    runtime: {
      exec: async (_id: string, { args }: { args: readonly string[] }) => (args[0] === "stay" ? running : ended),
    },
  } as unknown as DockerParts;
  const execs = new Execs(parts, { record: () => record, execIds: () => ids } as unknown as Life);
  const make = (word: string) => execs.create(record, new JsonObject({ Cmd: [word] }));
  const start = (exec: ReturnType<typeof make>) => execs.start(exec, { size: [], stdin: false });
  return { clock, execs, ids, make, start };
}

test("Execs knows one that runs for as long as it does, however many others come and go", async () => {
  const { clock, execs, ids, make, start } = openExecs();
  const first = make("stay");
  await start(first);
  const never = make("never started");
  for (let i = 0; i < 1100; i++) await start(make("go"));
  deepEqual([execs.find(first.id).exitCode, ids.has(first.id), ids.has(never.id)], [undefined, true, false]);
  throws(() => execs.find(never.id), { status: 404 });
  await clock.advance(6 * 60_000);
  make("last");
  deepEqual([execs.find(first.id).id, ids.size], [first.id, 2]);
});
