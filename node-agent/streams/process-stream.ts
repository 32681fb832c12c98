// Joins a process's streams with a client's: exec and attach. Each side waits for the slower one.
import type { ProcessStreams } from "../runtime/runtime.ts";
import type { NodeStream, StreamEnd } from "../session-types.ts";
import { roomIn } from "./pour-input.ts";

export interface Wanted {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** The client's end of input is the process's too; else it goes on reading what others may type. */
  readonly endsStdin: boolean;
}

/** Until the process and its outputs have ended, or the client has gone. */
export async function joinProcess(process: ProcessStreams, wanted: Wanted, stream: NodeStream): Promise<StreamEnd> {
  const onAbort = () => process.kill();
  stream.signal.addEventListener("abort", onAbort, { once: true });
  if (stream.signal.aborted) onAbort();
  feed(process, wanted, stream).catch(() => {});
  try {
    await Promise.all([
      pump(process.stdout, wanted.stdout ? "stdout" : undefined, stream),
      process.stderr === undefined ? undefined : pump(process.stderr, wanted.stderr ? "stderr" : undefined, stream),
    ]);
    stream.signal.throwIfAborted();
    return { exitCode: (await process.exit).exitCode, error: "" };
  } finally {
    stream.signal.removeEventListener("abort", onAbort);
    process.kill();
  }
}

async function feed(process: ProcessStreams, { endsStdin }: Wanted, stream: NodeStream): Promise<void> {
  const { stdin } = process;
  // A process may end without reading all that is sent.
  stdin?.on("error", () => {});
  for await (const input of stream.input) {
    switch (input.type) {
      case "stdin":
        if (stdin?.write(input.data) === false) await roomIn(stdin, stream.signal);
        break;
      case "stdinEnd":
        if (endsStdin) stdin?.end();
        break;
      case "resize":
        process.resize({ columns: input.columns, rows: input.rows });
        break;
    }
  }
  if (endsStdin) stdin?.end();
}

async function pump(
  source: NodeJS.ReadableStream,
  type: "stdout" | "stderr" | undefined,
  stream: NodeStream,
): Promise<void> {
  for await (const chunk of source) {
    if (type === undefined) continue;
    await stream.send({ type, data: typeof chunk === "string" ? Buffer.from(chunk) : chunk });
  }
}
