// Bodies that clients send: as fast as can be expected, and as long as was said.
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import { RegistryError } from "./errors.ts";

const paceMs = 30_000;
/** Who sends less in `paceMs` holds a place for nothing. */
const paceBytesMin = 16 * 1024;

/** Ends the connection of who sends too slowly. */
export async function* pacedBody(request: IncomingMessage, clock: Clock): AsyncGenerator<Buffer, void, void> {
  let bytes = 0;
  let seenBytes = 0;
  // Bytes that wait for our disk are no fault of the client.
  const check = () => {
    if (bytes - seenBytes < paceBytesMin && request.readableLength === 0 && !request.readableEnded)
      request.destroy(new RegistryError(408, "BLOB_UPLOAD_INVALID", "the body comes too slowly"));
    seenBytes = bytes;
    timer = clock.after(paceMs, check);
  };
  let timer = clock.after(paceMs, check);
  try {
    for await (const part of request) {
      bytes += (part as Buffer).length;
      yield part as Buffer;
    }
  } finally {
    timer.cancel();
  }
}

export async function readBody(request: IncomingMessage, { clock, bytesMax }: { clock: Clock; bytesMax: number }) {
  const tooLarge = new RegistryError(413, "SIZE_INVALID", `the body is larger than ${bytesMax} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge;
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of pacedBody(request, clock)) {
    bytes += part.length;
    if (bytes > bytesMax) throw tooLarge;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
