// Input that comes faster than it is taken, and input for what is gone.
import { deepEqual, equal } from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import type { NodeStream } from "../session-types.ts";
import { pourInput } from "./pour-input.ts";

function streamOf(pieces: number): NodeStream {
  async function* input() {
    for (let i = 0; i < pieces; i++) yield { type: "stdin", data: Buffer.from([i]) } as const;
    yield { type: "stdinEnd" } as const;
  }
  return { input: input(), signal: new AbortController().signal } as unknown as NodeStream;
}

test("pourInput waits for a slow taker, and leaves no listener with it", async () => {
  const taken: number[] = [];
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      taken.push(...chunk);
      setImmediate(done);
    },
  });
  const before = slow.eventNames().map((name) => [name, slow.listenerCount(name)]);
  await pourInput(slow, streamOf(50));
  deepEqual(
    [taken, slow.eventNames().map((name) => [name, slow.listenerCount(name)]), slow.writableEnded],
    [Array.from({ length: 50 }, (_, i) => i), before, true],
  );
});

test("pourInput comes to its end when the taker has gone", async () => {
  const gone = new Writable({ write: (_chunk, _encoding, done) => done() });
  gone.on("error", () => {});
  gone.destroy();
  await new Promise((resolve) => gone.once("close", resolve));
  await pourInput(gone, streamOf(3));
  equal(gone.destroyed, true);
});
