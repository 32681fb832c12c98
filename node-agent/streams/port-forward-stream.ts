// Port-forward: one connection to a port of a pod, made from its node to the pod's own loopback address, as its containers see it.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { connect } from "node:net";
import type { Duplex, Readable, Writable } from "node:stream";
import type { NodeStream, StreamEnd } from "../session-types.ts";
import { pourInput } from "./pour-input.ts";

export interface ForwardTarget {
  /** The pod's network namespace; undefined for one that uses the node's. */
  readonly networkPath: string | undefined;
  readonly port: number;
}

/** A connection that stands: bytes in, bytes out. */
interface Connection {
  readonly input: Writable;
  readonly output: Readable;
  /** Rejects when it could not be made. */
  readonly ended: Promise<void>;
  close(): void;
}

const connectMsMax = 10_000;
const errorBytesMax = 1024;

export async function forwardPort(target: ForwardTarget, launcherPath: string, stream: NodeStream): Promise<StreamEnd> {
  const { port, networkPath } = target;
  const connection =
    networkPath === undefined ? await connectHere(port, stream.signal) : relay(launcherPath, networkPath, port);
  const onAbort = () => connection.close();
  stream.signal.addEventListener("abort", onAbort, { once: true });
  if (stream.signal.aborted) onAbort();
  try {
    pourInput(connection.input, stream).catch(onAbort);
    for await (const chunk of connection.output) await stream.send({ type: "stdout", data: chunk });
    stream.signal.throwIfAborted();
    await connection.ended;
    return { exitCode: 0, error: "" };
  } finally {
    stream.signal.removeEventListener("abort", onAbort);
    connection.close();
  }
}

// A process of the launcher's program enters the namespace; the agent's own threads cannot.
function relay(launcherPath: string, networkPath: string, port: number): Connection {
  const child = spawn(launcherPath, ["netns-connect", networkPath, String(port)], { stdio: "pipe" });
  child.stdin.on("error", () => {});
  child.stdout.on("error", () => {});
  return {
    input: child.stdin,
    output: child.stdout,
    ended: exitOf(child, port),
    close: () => {
      child.stdin.destroy();
      child.stdout.destroy();
      child.kill("SIGKILL");
    },
  };
}

function exitOf(child: ChildProcessWithoutNullStreams, port: number): Promise<void> {
  let complaint = "";
  child.stderr.on("data", (bytes: Buffer) => {
    if (complaint.length < errorBytesMax) complaint += bytes.toString();
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", (cause) => reject(new Error(`cannot connect to port ${port} of the pod`, { cause })));
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`cannot connect to port ${port} of the pod: ${complaint.trim()}`));
    });
  });
  // Nobody may wait for it any more when the client has gone.
  ended.catch(() => {});
  return ended;
}

async function connectHere(port: number, signal: AbortSignal): Promise<Connection> {
  const socket: Duplex = await new Promise((resolve, reject) => {
    const made = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    const fail = (why: string) => {
      made.destroy();
      reject(new Error(`cannot connect to port ${port} of the pod: ${why}`));
    };
    const onAbort = () => fail("the client went away");
    const onError = (error: NodeJS.ErrnoException) =>
      fail(error.code === "ECONNREFUSED" ? "connection refused" : error.message);
    made.setTimeout(connectMsMax, () => fail(`no answer within ${connectMsMax / 1000} s`));
    signal.addEventListener("abort", onAbort, { once: true });
    made.once("error", onError);
    made.once("connect", () => {
      made.setTimeout(0);
      signal.removeEventListener("abort", onAbort);
      made.removeListener("error", onError);
      made.on("error", () => {});
      resolve(made);
    });
  });
  return { input: socket, output: socket, ended: Promise.resolve(), close: () => void socket.destroy() };
}
