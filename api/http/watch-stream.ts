// A watch as chunked JSON lines: the cache's own bytes where they fit, and no faster than the client reads.
import { once } from "node:events";
import type { WatchItem } from "../verbs/watch.ts";
import { asApiError, writeHead } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { encodeBookmark, encodeEvent, type Viewing } from "./views.ts";

/** Resolves when the watch is over; an error in its middle becomes an ERROR event. */
export async function streamWatch(
  exchange: Exchange,
  viewing: Viewing,
  watch: AsyncIterable<readonly WatchItem[]>,
): Promise<void> {
  const { response } = exchange;
  const { as, version } = viewing.view;
  const type = as === "Object" ? "application/json" : `application/json;as=${as};v=${version};g=meta.k8s.io`;
  writeHead(response, 200, { "content-type": type, "cache-control": "no-cache, private" });
  // The client should learn that it watches, even when nothing happens.
  (response as { flushHeaders(): void }).flushHeaders();
  const state = { first: true };
  try {
    for await (const items of watch) {
      if (items.length === 0) continue;
      const lines = items.map((item) => encode(viewing, item, state));
      await write(exchange, lines.length === 1 && lines[0] !== undefined ? lines[0] : Buffer.concat(lines));
    }
  } catch (error) {
    if (exchange.signal.aborted) return;
    const object = asApiError(error).toStatus();
    await write(exchange, Buffer.from(`${JSON.stringify({ type: "ERROR", object })}\n`));
    if (object.reason === "InternalError") throw error;
  } finally {
    response.end();
  }
}

function encode(viewing: Viewing, item: WatchItem, state: { first: boolean }): Buffer {
  if (item.type === "BOOKMARK") return encodeBookmark(viewing, item.revision, item.initialEventsEnd === true);
  if (viewing.view.as === "Object") {
    return item.frame?.() ?? Buffer.concat([opening[item.type], item.item.json, closing]);
  }
  const { first } = state;
  state.first = false;
  return encodeEvent(viewing, item.type, item.item.object, first);
}

const opening = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
} as const;
const closing = Buffer.from("}\n");

/** Resolves when the client has room for more, or is gone. */
async function write({ response, signal }: Exchange, bytes: Buffer): Promise<void> {
  if (signal.aborted) return;
  // The two responses' write methods have the same first form.
  const more = (response as { write(chunk: Buffer): boolean }).write(bytes);
  if (!more) await once(response, "drain", { signal }).catch(() => undefined);
}
