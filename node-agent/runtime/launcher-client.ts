// Talks to the resident launcher over its socket: requests on one connection, one more connection per exec and attach.
import { closeSync, openSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { getSystemErrorMap } from "node:util";
import { assert } from "../../lib/assert.ts";
import { encodeFrame, type FrameField, FrameReader } from "./frames.ts";
import type { LaunchOp } from "./launch-op.ts";

export interface RequestOptions {
  /** Path of the network namespace in which the op runs. */
  readonly netns?: string;
  /** By a process of its own: the kernel may take long with it, and nothing else is to wait. */
  readonly aside?: true;
}

/** An op that failed: what, and the kernel's reason. */
export class LauncherError extends Error {
  readonly what: string;
  readonly errno: number;
  /** Of a launch: which of its ops. */
  readonly opIndex: number | undefined;

  constructor(what: string, errno: number, opIndex?: number) {
    super(`${what}: ${errnoText(errno)}`);
    this.name = "LauncherError";
    this.what = what;
    this.errno = errno;
    this.opIndex = opIndex;
  }
}

/** The launcher ended, or its connection did; whether the request was performed is not known. */
export class LauncherGoneError extends Error {
  override readonly name = "LauncherGoneError";
}

export interface LauncherEvents {
  /** "exited" with its record, or "lost" when its monitor was killed. */
  onContainer(event: string, id: string, text: string): void;
  /** After the connection was there; one that never came to be rejects instead. */
  onClose(): void;
}

export type RequestArguments = readonly [op: string, args: readonly FrameField[], options?: RequestOptions];

interface Waiting {
  resolve(results: readonly string[]): void;
  reject(error: Error): void;
}

/** One connection. It is not made again after it broke: its owner opens another. */
export class LauncherClient {
  readonly #socket: Socket;
  readonly #events: LauncherEvents;
  readonly #waiting = new Map<number, Waiting>();
  readonly #reader = new FrameReader();
  #lastId = 0;
  #gone = false;
  #isSubscribed = false;

  private constructor(socket: Socket, events: LauncherEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("error", () => {});
    socket.on("close", () => this.#close());
  }

  /** Hears of containers. Rejects when nobody answers at the path, with the system's error. */
  static async connect(socketPath: string, events: LauncherEvents): Promise<LauncherClient> {
    const client = new LauncherClient(await connectSocket(socketPath), events);
    try {
      await client.request("subscribe", []);
    } catch (error) {
      client.close();
      throw error;
    }
    client.#isSubscribed = true;
    return client;
  }

  /** One op on a connection of its own, performed by a process of its own. */
  static async aside(socketPath: string, ...[op, args, options]: RequestArguments): Promise<readonly string[]> {
    const client = new LauncherClient(await connectSocket(socketPath), { onContainer: () => {}, onClose: () => {} });
    try {
      return await client.request("aside", [op, ...args], options);
    } finally {
      client.close();
    }
  }

  /** Performs an op; gives its results. Rejects with LauncherError, or LauncherGoneError. */
  request(op: string, args: readonly FrameField[], options: RequestOptions = {}): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      if (this.#gone) {
        reject(new LauncherGoneError(`${op}: the launcher is gone`));
        return;
      }
      const id = ++this.#lastId;
      const frame = encodeFrame([id, op, options.netns ?? "", ...args]);
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(frame);
    });
  }

  launch(containerId: string, ops: readonly LaunchOp[]): Promise<readonly string[]> {
    return this.request("launch", [containerId, ...ops]);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Whether an open connection keeps the program running. */
  unref(): void {
    this.#socket.unref();
  }

  #read(bytes: Buffer): void {
    try {
      for (const frame of this.#reader.push(bytes)) this.#handle(frame.map(String));
    } catch (cause) {
      this.#socket.destroy(new Error("read from the launcher", { cause }));
    }
  }

  #handle([id, status, ...rest]: readonly string[]): void {
    if (id === "0") {
      this.#events.onContainer(status ?? "", rest[0] ?? "", rest[1] ?? "");
      return;
    }
    const waiting = this.#waiting.get(Number(id));
    this.#waiting.delete(Number(id));
    if (waiting === undefined) throw new Error(`the launcher answered a request that nobody made: ${id}`);
    if (status === "ok") waiting.resolve(rest);
    else waiting.reject(replyError(rest));
  }

  #close(): void {
    this.#gone = true;
    for (const { reject } of this.#waiting.values()) reject(new LauncherGoneError("the launcher is gone"));
    this.#waiting.clear();
    if (this.#isSubscribed) this.#events.onClose();
  }
}

/** The error that a reply's strings (errno, what, op's index) stand for. */
export function replyError([errno, what, opIndex]: readonly string[]): LauncherError {
  return new LauncherError(what ?? "", Number(errno), opIndex === undefined ? undefined : Number(opIndex));
}

export function connectSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // The kernel takes 107 bytes; a longer path goes through its open directory.
    const short = shortPath(path);
    const socket = createConnection(short.path);
    const onError = (error: Error) => {
      short.release();
      reject(error);
    };
    socket.once("error", onError);
    socket.once("connect", () => {
      short.release();
      socket.off("error", onError);
      resolve(socket);
    });
  });
}

function shortPath(path: string): { readonly path: string; release(): void } {
  if (Buffer.byteLength(path) <= 107) return { path, release: () => {} };
  const slash = path.lastIndexOf("/");
  assert(slash > 0, `socket path ${path} is absolute`);
  const fd = openSync(path.slice(0, slash), "r");
  return { path: `/proc/self/fd/${fd}${path.slice(slash)}`, release: () => closeSync(fd) };
}

function errnoText(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
}
