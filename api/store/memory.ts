// The store in memory: for tests and the simulator. A commit happens within the call, so runs are deterministic.
import type { Clock } from "../../lib/clock.ts";
import { LeaseTimers } from "./lease-timers.ts";
import {
  type CommitResult,
  CompactedError,
  checkTransaction,
  type KeyValue,
  LeaseEndedError,
  type Operation,
  operationsMax,
  type RangeRequest,
  type RangeResult,
  type Store,
  type StoreEvent,
  type Transaction,
  type WatchBatch,
} from "./store.ts";
import { type HistoryRequest, WatchHub } from "./watch-hub.ts";

/** One change, with what is needed to undo it for a range at an older revision. */
interface Change {
  readonly event: StoreEvent;
  readonly before: KeyValue | undefined;
}

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** Older history is forgotten. */
  readonly historyRevisionsMax?: number;
}

export class MemoryStore implements Store {
  readonly #items = new Map<string, KeyValue>();
  readonly #keys: string[] = [];
  readonly #leaseOfKey = new Map<string, string>();
  readonly #leases: LeaseTimers;
  readonly #hub: WatchHub;
  readonly #historyRevisionsMax: number;
  #changes: Change[] = [];
  #revision = 1;
  #compactedRevision = 1;
  #leasesGranted = 0;

  constructor(options: MemoryStoreOptions) {
    this.#leases = new LeaseTimers(options.clock, (lease) => this.#deleteLeased(lease));
    this.#historyRevisionsMax = options.historyRevisionsMax ?? 10_000;
    this.#hub = new WatchHub(this.#revision, async (request) => this.#readHistory(request));
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    checkTransaction(transaction);
    for (const { key, modRevision } of transaction.compares) {
      const present = this.#items.get(key);
      if ((present?.modRevision ?? 0) !== modRevision) {
        return { committed: false, revision: this.#revision, conflict: { key, present } };
      }
    }
    for (const operation of transaction.operations) {
      if (operation.type === "put" && operation.lease !== undefined && !this.#leases.has(operation.lease)) {
        throw new LeaseEndedError(operation.lease);
      }
    }
    this.#apply(transaction.operations);
    return { committed: true, revision: this.#revision };
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    const revision = request.revision ?? this.#revision;
    if (revision < this.#compactedRevision) throw new CompactedError(this.#compactedRevision);
    const items =
      revision < this.#revision
        ? this.#itemsAt(revision, request)
        : this.#keys
            .slice(position(this.#keys, request.start), position(this.#keys, request.end))
            .flatMap((key) => this.#items.get(key) ?? []);
    const limit = request.limit ?? items.length;
    return { revision, items: items.slice(0, limit), more: items.length > limit };
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<WatchBatch> {
    return this.#hub.watch(prefix, afterRevision, signal);
  }

  async compact(revision: number): Promise<void> {
    if (revision <= this.#compactedRevision) return;
    this.#compactedRevision = Math.min(revision, this.#revision);
    const kept = this.#changes.findIndex((change) => change.event.revision > this.#compactedRevision);
    this.#changes = kept === -1 ? [] : this.#changes.slice(kept);
  }

  async grantLease(ttlMs: number): Promise<string> {
    const lease = `lease-${++this.#leasesGranted}`;
    this.#leases.start(lease, ttlMs);
    return lease;
  }

  async renewLease(lease: string): Promise<boolean> {
    return this.#leases.renew(lease);
  }

  async revokeLease(lease: string): Promise<void> {
    this.#leases.end(lease);
    this.#deleteLeased(lease);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leases[Symbol.dispose]();
    this.#hub.close();
  }

  #apply(operations: readonly Operation[]): void {
    const revision = this.#revision + 1;
    const events: StoreEvent[] = [];
    for (const operation of operations) {
      const before = this.#items.get(operation.key);
      if (operation.type === "delete" && before === undefined) continue;
      const event = operation.type === "put" ? this.#put(operation, revision) : this.#delete(operation.key, revision);
      events.push(event);
      this.#changes.push({ event, before });
    }
    if (events.length === 0) return;
    this.#revision = revision;
    this.#hub.publish({ revision, events });
    // In steps, so that forgetting costs little per commit.
    const kept = this.#historyRevisionsMax;
    if (revision - this.#compactedRevision > kept + kept / 4) void this.compact(revision - kept);
  }

  #put(operation: Operation & { type: "put" }, revision: number): StoreEvent {
    const { key, value, lease } = operation;
    const before = this.#items.get(key);
    const item: KeyValue = { key, value, createRevision: before?.createRevision ?? revision, modRevision: revision };
    if (before === undefined) this.#keys.splice(position(this.#keys, key), 0, key);
    this.#items.set(key, item);
    if (lease === undefined) this.#leaseOfKey.delete(key);
    else this.#leaseOfKey.set(key, lease);
    return { type: "put", key, revision, item };
  }

  #delete(key: string, revision: number): StoreEvent {
    this.#items.delete(key);
    this.#leaseOfKey.delete(key);
    this.#keys.splice(position(this.#keys, key), 1);
    return { type: "delete", key, revision };
  }

  #deleteLeased(lease: string): void {
    const keys = [...this.#leaseOfKey].filter(([, of]) => of === lease).map(([key]) => key);
    keys.sort();
    for (let i = 0; i < keys.length; i += operationsMax) {
      this.#apply(keys.slice(i, i + operationsMax).map((key) => ({ type: "delete", key })));
    }
  }

  #itemsAt(revision: number, { start, end }: RangeRequest): KeyValue[] {
    const items = new Map(this.#items);
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const change = this.#changes[i];
      if (change === undefined || change.event.revision <= revision) break;
      if (change.before === undefined) items.delete(change.event.key);
      else items.set(change.event.key, change.before);
    }
    return [...items.values()]
      .filter((item) => item.key >= start && item.key < end)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #readHistory({ prefix, afterRevision }: HistoryRequest): WatchBatch {
    if (afterRevision < this.#compactedRevision) throw new CompactedError(this.#compactedRevision);
    const events = this.#changes
      .map((change) => change.event)
      .filter((event) => event.revision > afterRevision && event.key.startsWith(prefix));
    return { revision: this.#revision, events };
  }
}

/** Index of the first key that is not below `key`. */
function position(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
