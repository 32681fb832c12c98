// A blob as an answer, whole or from a byte on.
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { GivenBlob } from "../images/image-door.ts";

/** Resolves when the last byte is sent; rejects when the client leaves. */
export async function sendBlob(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  { sizeBytes, read }: GivenBlob,
): Promise<void> {
  const range = rangeOf(headers.range, sizeBytes);
  if (range === "none") {
    response.writeHead(416, { "content-range": `bytes */${sizeBytes}`, "content-length": 0 }).end();
    return;
  }
  const { from, to } = range ?? { from: 0, to: sizeBytes };
  response.writeHead(range === undefined ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": to - from,
    "accept-ranges": "bytes",
    ...(range === undefined ? {} : { "content-range": `bytes ${from}-${to - 1}/${sizeBytes}` }),
  });
  if (method === "HEAD") response.end();
  else await pipeline(Readable.from(range === undefined ? read(0) : upTo(read(from), to - from)), response);
}

/**
 * Bytes `from` up to but without `to`; undefined: all of them, since no range is asked for or none that is understood here;
 * "none": no byte lies in it. RFC 9110, sections 14.1.2 and 15.5.17.
 */
export function rangeOf(
  header: string | undefined,
  sizeBytes: number,
): { readonly from: number; readonly to: number } | "none" | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined) return undefined;
  const from = Number(first);
  const to = last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (last !== "" && Number(last) < from) return undefined;
  return from < sizeBytes ? { from, to } : "none";
}

async function* upTo(parts: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const part of parts) {
    yield part.subarray(0, left);
    left -= part.length;
    if (left <= 0) return;
  }
}
