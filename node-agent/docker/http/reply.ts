// What an endpoint is asked and what it answers, as data; server.ts brings the answer onto the wire.
import type { IncomingHttpHeaders } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { JsonObject, parseJson } from "./json.ts";
import { DockerProblem } from "./problem.ts";
import type { Query } from "./query.ts";

export interface Call {
  readonly method: string;
  /** What stands where the route's pattern has braces. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  /** 41 for version 1.41 of the API. */
  readonly apiMinor: number;
  readonly body: Readable;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export type Reply =
  | {
      readonly type: "whole";
      readonly status: number;
      readonly contentType: string;
      readonly body: string;
      readonly headers?: Headers;
    }
  | { readonly type: "empty"; readonly status: number; readonly headers?: Headers }
  | {
      readonly type: "stream";
      readonly contentType: string;
      readonly headers?: Headers;
      readonly write: (out: Writable, signal: AbortSignal) => Promise<void>;
    }
  /** The connection becomes a stream in both directions, for clients that ask for it ("Upgrade: tcp"); others only listen. */
  | {
      readonly type: "hijack";
      readonly contentType: string;
      readonly run: (streams: Duplex, signal: AbortSignal) => Promise<void>;
    }
  /** The connection speaks this protocol from then on; whoever does not ask for it is refused. */
  | {
      readonly type: "upgrade";
      readonly protocol: "websocket" | "h2c";
      readonly run: (streams: Duplex, signal: AbortSignal) => Promise<void>;
    };

type Headers = Readonly<Record<string, string>>;

export type Handler = (call: Call) => Promise<Reply>;

/** "GET /containers/{id}/json"; what stands for a name may hold slashes. */
export type Route = readonly [pattern: string, handler: Handler];

const jsonBytesMax = 4 * 1024 * 1024;
/** Bodies that are read as a whole come within this time; tars and streams may take what they take. */
export const bodyMsMax = 60_000;

export function json(value: unknown, status = 200): Reply {
  return { type: "whole", status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}

export function empty(status = 204): Reply {
  return { type: "empty", status };
}

/** Each value one line, as soon as it is there. */
export function jsonLines(
  write: (send: (value: unknown) => Promise<void>, signal: AbortSignal) => Promise<void>,
): Reply {
  return {
    type: "stream",
    contentType: "application/json",
    write: (out, signal) => write((value) => writeTo(out, `${JSON.stringify(value)}\r\n`), signal),
  };
}

/** The body as an object; nothing is an empty one. */
export async function readJson(call: Call): Promise<JsonObject> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const tooLate = new DockerProblem(408, `the body did not come within ${bodyMsMax / 1000} s`);
  const late = setTimeout(() => call.body.destroy(tooLate), bodyMsMax);
  try {
    for await (const part of call.body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > jsonBytesMax) throw new DockerProblem(413, `the body has more than ${jsonBytesMax} bytes`);
      parts.push(part);
    }
  } finally {
    clearTimeout(late);
  }
  const text = Buffer.concat(parts).toString("utf8");
  return new JsonObject(text.trim() === "" ? {} : (parseJson(text) ?? {}));
}

/** Resolves when the other side can take more; rejects when it is gone. */
export function writeTo(out: Writable, bytes: Buffer | string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (out.destroyed || out.writableEnded) {
      reject(new Error("the client is gone"));
      return;
    }
    if (out.write(bytes)) {
      resolve();
      return;
    }
    const events = ["drain", "close", "error"] as const;
    const done = () => {
      for (const event of events) out.removeListener(event, done);
      if (out.destroyed) reject(new Error("the client is gone"));
      else resolve();
    };
    for (const event of events) out.on(event, done);
  });
}
