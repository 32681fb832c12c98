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
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  const from = Math.min(Number(first ?? 0), sizeBytes);
  const to = last === undefined || last === "" ? sizeBytes : Math.max(from, Math.min(Number(last) + 1, sizeBytes));
  const isPart = from > 0 || to < sizeBytes;
  response.writeHead(isPart ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": to - from,
    "accept-ranges": "bytes",
    ...(isPart ? { "content-range": `bytes ${from}-${to - 1}/${sizeBytes}` } : {}),
  });
  if (method === "HEAD") response.end();
  else await pipeline(Readable.from(first === undefined ? read(0) : upTo(read(from), to - from)), response);
}

async function* upTo(parts: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const part of parts) {
    if (left <= 0) return;
    yield part.subarray(0, left);
    left -= part.length;
  }
}
