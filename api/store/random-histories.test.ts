// Random histories: SQLite must answer everything just as the memory store does.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { bytes } from "./contract.ts";
import { MemoryStore } from "./memory.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Operation, Store, StoreEvent } from "./store.ts";

const key = fc.constantFrom("/a", "/a/b", "/a/c", "/a-b", "/b", "/b/a", "/c");
const back = fc.integer({ min: 0, max: 12 });
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant("put" as const), key, value: fc.string().map(bytes) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("delete" as const), key }) },
);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("commit" as const),
      /** "absent", the present revision of the key, or some revision before. */
      compares: fc.array(fc.record({ key, back: fc.option(fc.integer({ min: 0, max: 2 })) }), { maxLength: 2 }),
      operations: fc.uniqueArray(operation, { maxLength: 4, selector: (op: Operation) => op.key }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("range" as const),
      start: key,
      end: key,
      limit: fc.option(fc.integer({ min: 1, max: 4 })),
      back: fc.option(back),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("watch" as const), prefix: fc.constantFrom("/", "/a", "/a/"), back }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("compact" as const), back }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reopen" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

test("openSqliteStore answers random histories as MemoryStore does", async () => {
  const folder = await mkdtemp(join(tmpdir(), "naru-store-"));
  let runs = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const path = join(folder, `${++runs}.db`);
        const open = () => openSqliteStore({ path, clock: realClock, log: silentLogger });
        let sqlite = await open();
        const memory = new MemoryStore({ clock: realClock });
        try {
          for (const next of steps) {
            if (next.type === "reopen") {
              await sqlite[Symbol.asyncDispose]();
              sqlite = await open();
            } else {
              const prepared = await prepare(memory, next);
              assert.deepEqual(await answer(sqlite, prepared), await answer(memory, prepared));
            }
          }
        } finally {
          await sqlite[Symbol.asyncDispose]();
        }
      }),
      { numRuns: 40, seed: 1 },
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

type Prepared = (store: Store) => Promise<unknown>;

/** Turns what is relative to the present into revisions. */
async function prepare(memory: Store, next: Exclude<Step, { type: "reopen" }>): Promise<Prepared> {
  const whole = await memory.range({ start: "/", end: "0" });
  const past = (back: number) => Math.max(1, whole.revision - back);
  switch (next.type) {
    case "commit": {
      const compares = next.compares.map(({ key, back }) => {
        const present = whole.items.find((item) => item.key === key)?.modRevision ?? 0;
        return { key, modRevision: back === null ? 0 : Math.max(0, present - back) };
      });
      return (store) => store.commit({ compares, operations: next.operations });
    }
    case "range": {
      const { start, end, limit, back } = next;
      const request = { start, end, ...(limit !== null && { limit }), ...(back !== null && { revision: past(back) }) };
      return (store) => store.range(request);
    }
    case "watch":
      return (store) => eventsUntil(store, { ...next, after: past(next.back), until: whole.revision });
    case "compact":
      return (store) => store.compact(past(next.back));
  }
}

async function answer(store: Store, ask: Prepared): Promise<unknown> {
  return ask(store).catch((error: Error) => `${error}`);
}

async function eventsUntil(store: Store, { prefix, after, until }: { prefix: string; after: number; until: number }) {
  const aborter = new AbortController();
  const events: StoreEvent[] = [];
  if (after >= until) return events;
  for await (const batch of store.watch(prefix, after, aborter.signal)) {
    events.push(...batch.events);
    if (batch.revision >= until) break;
  }
  return events;
}
