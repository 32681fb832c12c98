// Joins a process's streams with a client's connection: attach and exec.
import type { Duplex, Writable } from "node:stream";
import type { ProcessStreams } from "../../runtime/runtime.ts";
import { writeTo } from "../http/reply.ts";
import { frame } from "../http/server.ts";
import { openDetachFilter } from "./detach-keys.ts";

export interface JoinOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly terminal: boolean;
  /** The client's end of input is the process's. */
  readonly closeStdin: boolean;
  /** Absent: nothing the client types lets go of the process. */
  readonly detachKeys: Buffer | undefined;
}

/** A client that reads slowly does not hold up a container until so much waits for it. */
const waitingBytesMax = 16 * 1024 * 1024;

/** Until the process has ended and all it wrote is sent, the client has gone, or it detached. */
export async function joinStreams(
  process: ProcessStreams,
  client: Duplex,
  options: JoinOptions,
  signal: AbortSignal,
): Promise<"ended" | "detached" | "gone"> {
  const detached = Promise.withResolvers<"detached">();
  const gone = new Promise<"gone">((resolve) => {
    if (signal.aborted) resolve("gone");
    signal.addEventListener("abort", () => resolve("gone"), { once: true });
  });
  if (options.stdin) feed(process, client, options, () => detached.resolve("detached")).catch(() => {});
  else client.resume();
  const sent = Promise.all([
    pump(process.stdout, options.stdout ? client : undefined, options.terminal ? undefined : "stdout"),
    process.stderr === undefined ? undefined : pump(process.stderr, options.stderr ? client : undefined, "stderr"),
  ]).then((): "ended" => "ended");
  return Promise.race([sent, detached.promise, gone]);
}

async function feed(
  process: ProcessStreams,
  client: Duplex,
  options: JoinOptions,
  onDetach: () => void,
): Promise<void> {
  const { stdin } = process;
  if (stdin === undefined) return;
  // A process may end without reading all that is sent.
  stdin.on("error", () => {});
  const filter = options.detachKeys === undefined ? undefined : openDetachFilter(options.detachKeys);
  // Letting go of the process leaves the client's connection to whoever opened it.
  for await (const bytes of client.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    const { pass, detach } = filter?.(bytes) ?? { pass: bytes, detach: false };
    if (pass.length > 0) await writeTo(stdin as Writable, pass);
    if (detach) return onDetach();
  }
  if (options.closeStdin) stdin.end();
}

async function pump(
  source: NodeJS.ReadableStream,
  client: Duplex | undefined,
  stream: "stdout" | "stderr" | undefined,
): Promise<void> {
  for await (const part of source) {
    if (client === undefined || client.destroyed) continue;
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    const framed = stream === undefined ? bytes : frame(stream, bytes);
    if (client.writableLength > waitingBytesMax) await writeTo(client, framed).catch(() => {});
    else client.write(framed);
  }
}
