// One process for several clients, of which one does not read.
import { deepEqual, equal } from "node:assert/strict";
import { once } from "node:events";
import { PassThrough, type Readable } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { ProcessStreams } from "../../runtime/runtime.ts";
import { share } from "./attachments.ts";

const processOf = (stdout: PassThrough) =>
  ({ stdout, stdin: undefined, stderr: undefined }) as unknown as ProcessStreams;

test("share waits for the slowest, and gives each all of it", async () => {
  const stdout = new PassThrough();
  const [quick, slow] = share(processOf(stdout), 2).map((streams) => streams.stdout as Readable);
  if (quick === undefined || slow === undefined) throw new Error("two were asked for");
  const text = async (from: Readable) => Buffer.concat(await Array.fromAsync(from)).length;
  const ofQuick = text(quick);
  const parts = 200;
  let written = 0;
  const writing = (async () => {
    for (; written < parts; written++) if (!stdout.write(Buffer.alloc(64 * 1024))) await once(stdout, "drain");
    stdout.end();
  })();
  for (let i = 0; i < 1000; i++) await turn();
  equal(written < 20, true);
  const ofSlow = text(slow);
  await writing;
  deepEqual(await Promise.all([ofQuick, ofSlow]), [parts * 64 * 1024, parts * 64 * 1024]);
});

test("share waits for nobody who has left, and ends with what is cut off", async () => {
  const stdout = new PassThrough();
  const [stays, leaves] = share(processOf(stdout), 2).map((streams) => streams.stdout as Readable);
  leaves?.destroy();
  const read = Array.fromAsync(stays ?? []);
  for (let i = 0; i < 50; i++) if (!stdout.write(Buffer.alloc(64 * 1024))) await once(stdout, "drain");
  stdout.destroy();
  equal(Buffer.concat(await read).length > 0, true);
});
