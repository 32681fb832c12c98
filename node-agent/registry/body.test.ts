// Bodies that come too slowly, and those that are too large.
import { deepEqual, equal, rejects } from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { pacedBody, readBody } from "./body.ts";

const requestOf = (headers: Record<string, string> = {}) => {
  const stream = new PassThrough();
  return { stream, request: Object.assign(stream, { headers }) as unknown as IncomingMessage };
};

test("pacedBody ends who drips, and nobody who sends", async () => {
  const clock = virtualClock();
  const { stream, request } = requestOf();
  let bytes = 0;
  const reading = (async () => {
    for await (const part of pacedBody(request, clock)) bytes += part.length;
  })();
  reading.catch(() => {});
  for (let i = 0; i < 5; i++) {
    stream.write(Buffer.alloc(64 * 1024));
    await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(30_000);
  }
  equal(stream.destroyed, false);
  stream.write("drip");
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(30_000);
  await rejects(reading, { status: 408 });
  equal(bytes, 5 * 64 * 1024 + 4);
  equal(clock.pending, 0);
});

test("readBody takes what fits, and refuses the rest before or while it comes", async () => {
  const clock = virtualClock();
  const whole = requestOf();
  whole.stream.end("abc");
  deepEqual(await readBody(whole.request, { clock, bytesMax: 3 }), Buffer.from("abc"));
  const announced = requestOf({ "content-length": "4" });
  await rejects(readBody(announced.request, { clock, bytesMax: 3 }), { status: 413 });
  const silent = requestOf();
  silent.stream.end("abcd");
  await rejects(readBody(silent.request, { clock, bytesMax: 3 }), { status: 413 });
});
