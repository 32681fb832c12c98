// The streams of an exec or attach: one connection to the process's monitor, frames in both directions.
import type { Socket } from "node:net";
import { Readable, Writable } from "node:stream";
import { encodeFrame, type FrameField, FrameReader } from "./frames.ts";
import { connectSocket, LauncherGoneError, replyError } from "./launcher-client.ts";
import type { ProcessStreams } from "./runtime.ts";

const stdinBytesMax = 16 * 1024;

export interface StreamRequest {
  readonly op: "exec" | "attach";
  readonly args: readonly FrameField[];
  readonly stdin: boolean;
  readonly terminal: boolean;
  /** The exit code when the connection ends without one. */
  readonly lostExitCode: () => Promise<number>;
}

/**
 * Asks the launcher for a process's streams. Resolves when the process runs; rejects with LauncherError.
 * Both outputs must be read (or `resume()`d): one that nobody reads holds up the process, as a full pipe does.
 */
export async function openStreams(
  socketPath: string,
  request: StreamRequest,
  signal?: AbortSignal,
): Promise<ProcessStreams> {
  signal?.throwIfAborted();
  const socket = await connectSocket(socketPath);
  const stream = new ProcessConnection(socket, request);
  const onAbort = () => socket.destroy();
  signal?.addEventListener("abort", onAbort, { once: true });
  socket.once("close", () => signal?.removeEventListener("abort", onAbort));
  socket.write(encodeFrame([1, request.op, "", ...request.args]));
  await stream.started;
  return stream.streams;
}

class ProcessConnection {
  readonly started: Promise<void>;
  readonly streams: ProcessStreams;
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #stdout: Readable;
  readonly #stderr: Readable | undefined;
  readonly #start = Promise.withResolvers<void>();
  readonly #exit = Promise.withResolvers<{ readonly exitCode: number }>();
  #running = false;
  #ended = false;

  constructor(socket: Socket, request: StreamRequest) {
    this.#socket = socket;
    this.started = this.#start.promise;
    this.#stdout = new Readable({ read: () => socket.resume() });
    this.#stderr = request.terminal ? undefined : new Readable({ read: () => socket.resume() });
    this.streams = {
      stdin: request.stdin ? this.#stdin() : undefined,
      stdout: this.#stdout,
      stderr: this.#stderr,
      resize: ({ columns, rows }) => this.#send(["resize", columns, rows]),
      kill: () => socket.destroy(),
      exit: this.#exit.promise,
    };
    // Whoever does not care for the exit need not handle its loss.
    this.#exit.promise.catch(() => {});
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("error", () => {});
    socket.on("close", () => this.#close(request));
  }

  #stdin(): Writable {
    const send = (fields: readonly FrameField[], done: (error?: Error) => void) => {
      if (this.#socket.destroyed || this.#ended) done();
      else this.#socket.write(encodeFrame(fields), () => done());
    };
    return new Writable({
      write: (bytes: Buffer, _encoding, done) => {
        const parts: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += stdinBytesMax) parts.push(bytes.subarray(at, at + stdinBytesMax));
        for (const part of parts.slice(0, -1)) this.#send(["stdin", part]);
        send(["stdin", parts.at(-1) ?? Buffer.alloc(0)], done);
      },
      final: (done) => send(["stdin-end"], done),
    });
  }

  #send(fields: readonly FrameField[]): void {
    if (!this.#socket.destroyed && !this.#ended) this.#socket.write(encodeFrame(fields));
  }

  #read(bytes: Buffer): void {
    try {
      for (const frame of this.#reader.push(bytes)) this.#handle(frame);
    } catch (cause) {
      this.#socket.destroy(new Error("read a process's streams", { cause }));
    }
  }

  #handle([kind, data, ...rest]: readonly Buffer[]): void {
    if (!this.#running) {
      this.#running = String(data) === "ok";
      if (this.#running) this.#start.resolve();
      else this.#start.reject(replyError(rest.map(String)));
      return;
    }
    const name = String(kind);
    if (name === "exit") this.#finish(Number(String(data)));
    else if (data !== undefined && !this.#output(name)?.push(data)) this.#socket.pause();
  }

  #output(name: string): Readable | undefined {
    return name === "stderr" ? this.#stderr : this.#stdout;
  }

  #finish(exitCode: number): void {
    this.#ended = true;
    this.#stdout.push(null);
    this.#stderr?.push(null);
    this.#exit.resolve({ exitCode });
    this.#socket.end();
  }

  #close(request: StreamRequest): void {
    this.#start.reject(new LauncherGoneError(`${request.op}: the connection ended`));
    if (this.#ended || !this.#running) return;
    this.#ended = true;
    this.#stdout.push(null);
    this.#stderr?.push(null);
    request.lostExitCode().then(
      (exitCode) => this.#exit.resolve({ exitCode }),
      (error: unknown) => this.#exit.reject(error),
    );
  }
}
