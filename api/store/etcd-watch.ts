// One watch stream of etcd, until it breaks or falls silent.
import type { Etcd3, IKeyValue, IWatchResponse } from "etcd3";
import type { Clock } from "../../lib/clock.ts";
import { CompactedError, type KeyValue, type StoreEvent, type WatchBatch } from "./store.ts";

export interface WatchStart {
  readonly etcd: Etcd3;
  readonly clock: Clock;
  readonly prefix: string;
  readonly afterRevision: number;
}

/** Progress is asked for this often; a stream that answers nothing for `silenceMsMax` is given up. */
const progressMs = 5000;
const silenceMsMax = 12_000;

/**
 * Every revision's events, other prefixes' left out. It watches all keys: so it hears of every revision, and a revision's number alone
 * tells how far it is. Progress answers are signs of life only, because etcd 3.4 may send them ahead of events.
 * Throws CompactedError, or whatever broke the stream.
 */
export async function* watchOnce(
  start: WatchStart,
  checkKept: () => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<WatchBatch> {
  const { clock, prefix } = start;
  const stream = await start.etcd.watchClient.watch();
  stream.on("error", () => {});
  const create = { key: Buffer.from("\0"), range_end: Buffer.from("\0"), start_revision: start.afterRevision + 1 };
  stream.write({ create_request: create });
  let heardMs: number | undefined = clock.monotonicMs();
  const beat = () => {
    // While the reader works, silence is its own.
    if (heardMs !== undefined && clock.monotonicMs() - heardMs > silenceMsMax) return stream.cancel();
    stream.write({ progress_request: {} });
    timer = clock.after(progressMs, beat);
  };
  let timer = clock.after(progressMs, beat);
  // At once, since the reader may never come back to this generator.
  const cancel = () => {
    timer.cancel();
    stream.cancel();
  };
  signal.addEventListener("abort", cancel, { once: true });
  let toldRevision = start.afterRevision;
  try {
    signal.throwIfAborted();
    for await (const response of stream as unknown as AsyncIterable<Response>) {
      heardMs = undefined;
      if (Number(response.compact_revision) > 0) throw new CompactedError(Number(response.compact_revision));
      if (response.canceled) throw new Error(`etcd ended the watch: ${response.cancel_reason}`);
      if (response.created) await checkKept();
      const last = response.events[response.events.length - 1];
      const revision = last === undefined ? 0 : Number(last.kv.mod_revision);
      if (revision > toldRevision) {
        const events = response.events.map(eventOf).filter((event) => event.revision > toldRevision);
        toldRevision = revision;
        yield { revision, events: events.filter((event) => event.key.startsWith(prefix)) };
      }
      heardMs = clock.monotonicMs();
    }
    throw new Error("etcd ended the stream");
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

type Response = IWatchResponse & { readonly events: readonly EtcdEvent[] };

interface EtcdEvent {
  readonly type: "PUT" | "DELETE" | "Put" | "Delete";
  readonly kv: IKeyValue;
}

function eventOf({ type, kv }: EtcdEvent): StoreEvent {
  const key = kv.key.toString();
  const revision = Number(kv.mod_revision);
  if (type.toLowerCase() === "delete") return { type: "delete", key, revision };
  return { type: "put", key, revision, item: itemOf(kv) };
}

export function itemOf(stored: IKeyValue): KeyValue {
  const { buffer, byteOffset, byteLength } = stored.value;
  return {
    key: stored.key.toString(),
    value: new Uint8Array(buffer, byteOffset, byteLength),
    createRevision: Number(stored.create_revision),
    modRevision: Number(stored.mod_revision),
  };
}
