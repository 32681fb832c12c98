// Runs one command in a container to its end and keeps a bounded part of what it wrote: exec probes and hooks.
import { finished } from "node:stream/promises";
import type { Runtime } from "../runtime/runtime.ts";

const outputBytesMax = 10 * 1024;

/** Rejects when it cannot be started, or with the signal's reason; the command is then ended. */
export async function execInContainer(
  runtime: Runtime,
  containerId: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const process = await runtime.exec(containerId, { args, terminal: false, stdin: false }, signal);
  const parts: Buffer[] = [];
  let size = 0;
  const keep = (chunk: Buffer | string) => {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    if (size < outputBytesMax) parts.push(bytes.subarray(0, outputBytesMax - size));
    size += bytes.length;
  };
  const outputs = [process.stdout, process.stderr].flatMap((stream) => stream?.on("data", keep) ?? []);
  // The end of a stream may be seen later than that of its process.
  const read = Promise.allSettled(outputs.map((stream) => finished(stream)));
  const abort = () => process.kill();
  signal.addEventListener("abort", abort, { once: true });
  try {
    if (signal.aborted) abort();
    const { exitCode } = await process.exit;
    await read;
    signal.throwIfAborted();
    return { exitCode, output: Buffer.concat(parts).toString("utf8").trim() };
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
