// A process in a container as streams: exec and attach over Kubernetes' WebSocket protocol v5. Each side waits for the slower one.
import type { IncomingMessage } from "node:http";
import { Readable, Writable } from "node:stream";
import { WebSocket } from "ws";
import type { Status } from "../api/kinds/generated/types.ts";
import { tlsOptions } from "../client/transport.ts";
import type { Connection } from "./connection.ts";

export interface RemoteStreams {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  resize(size: { readonly columns: number; readonly rows: number }): void;
  /** Its exit code; rejects with the server's refusal, or when the connection ends before the process. */
  readonly exit: Promise<number>;
  close(): void;
}

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** `path` names the pod's exec or attach with its query. Resolves when the server has agreed. */
export async function openRemote(connection: Connection, path: string, signal: AbortSignal): Promise<RemoteStreams> {
  const socket = dialWebSocket(connection, path, "v5.channel.k8s.io");
  const abort = () => socket.close();
  signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  const exit = Promise.withResolvers<number>();
  exit.promise.catch(() => {}); // whoever asks hears of it
  const resume = () => socket.resume();
  const [stdout, stderr] = [new Readable({ read: resume }), new Readable({ read: resume })];
  const send = (to: number, data: Uint8Array, done: (error?: Error | null) => void = () => {}) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(Buffer.concat([Buffer.of(to), data]), done);
    else done();
  };
  const endOutputs = () => {
    stdout.push(null);
    stderr.push(null);
  };
  socket.on("message", (message: Buffer) => {
    const data = message.subarray(1);
    if (message[0] === channel.error) {
      endOutputs();
      finish(JSON.parse(data.toString()) as Status, exit);
    } else if (message[0] === channel.stdout || message[0] === channel.stderr) {
      const output = message[0] === channel.stdout ? stdout : stderr;
      if (!output.push(data)) socket.pause();
    }
  });
  socket.on("close", () => {
    endOutputs();
    exit.reject(new Error("the connection ended before the command did"));
  });
  await opened(socket);
  return {
    stdin: new Writable({
      write: (data: Buffer, _encoding, done) => send(channel.stdin, data, done),
      final: (done) => send(channel.close, Buffer.of(channel.stdin), done),
    }),
    stdout,
    stderr,
    resize: ({ columns, rows }) => send(channel.resize, Buffer.from(JSON.stringify({ Width: columns, Height: rows }))),
    exit: exit.promise,
    close: abort,
  };
}

/** Not open yet; `opened` tells. */
export function dialWebSocket({ transport }: Connection, path: string, ...protocols: readonly string[]): WebSocket {
  const { server } = transport.connection;
  return new WebSocket(new URL(path, server.replace(/^http/, "ws")), [...protocols], tlsOptions(transport.connection));
}

/** Rejects with the server's words when it refuses. */
export function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.on("error", reject);
    socket.once("unexpected-response", (_, answer: IncomingMessage) => {
      let text = "";
      answer.on("data", (part: Buffer) => {
        text += part.toString();
      });
      answer.on("end", () => reject(new Error(refusalOf(text) ?? `refused: HTTP ${answer.statusCode} ${text}`)));
    });
  });
}

function refusalOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as Status).message;
  } catch {
    return undefined;
  }
}

function finish(status: Status, exit: PromiseWithResolvers<number>): void {
  const code = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  if (code !== undefined) exit.resolve(Number(code));
  else if (status.status === "Success") exit.resolve(0);
  else exit.reject(new Error(status.message ?? "the command failed"));
}
