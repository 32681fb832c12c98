// What a command in a container wrote is kept whole, however its end and its output come in.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import type { ProcessStreams, Runtime } from "../runtime/runtime.ts";
import { execInContainer } from "./exec-once.ts";

const never = new AbortController().signal;

function runtimeOf(process: Pick<ProcessStreams, "stdout" | "stderr" | "exit">): Runtime {
  const streams: ProcessStreams = { ...process, stdin: undefined, resize: () => {}, kill: () => {} };
  return { exec: () => Promise.resolve(streams) } as Partial<Runtime> as Runtime;
}

test("output that is read after the exit is there execInContainer", async () => {
  const stdout = new Readable({ read: () => {} });
  const runtime = runtimeOf({ stdout, stderr: Readable.from([]), exit: Promise.resolve({ exitCode: 1 }) });
  const result = execInContainer(runtime, "c", ["check"], never);
  setImmediate(() => {
    stdout.push("no luck\n");
    stdout.push(null);
  });
  assert.deepEqual(await result, { exitCode: 1, output: "no luck" });
});

test("a stream that breaks ends with what it gave execInContainer", async () => {
  const stdout = Readable.from(
    (function* () {
      yield "half";
      throw new Error("broken");
    })(),
  );
  const runtime = runtimeOf({ stdout, stderr: undefined, exit: Promise.resolve({ exitCode: 0 }) });
  assert.deepEqual(await execInContainer(runtime, "c", ["check"], never), { exitCode: 0, output: "half" });
});
