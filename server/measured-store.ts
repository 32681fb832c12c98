// A store that is watched: how long its commits take, and how often it refuses.
import { Counter, Histogram, type Registry } from "prom-client";
import { type Store, StoreUnavailableError } from "../api/store/store.ts";
import type { Clock } from "../lib/clock.ts";

export function measuredStore(store: Store, registry: Registry, clock: Clock): Store {
  const registers = [registry];
  const duration = new Histogram({
    name: "naru_store_commit_duration_seconds",
    help: "Time until a write was durable, in seconds.",
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers,
  });
  const failures = new Counter({
    name: "naru_store_commit_errors_total",
    help: "Writes that the store could not make: a full disk, or etcd does not answer.",
    registers,
  });
  return {
    commit: async (transaction) => {
      const startMs = clock.monotonicMs();
      try {
        return await store.commit(transaction);
      } catch (error) {
        if (error instanceof StoreUnavailableError) failures.inc();
        throw error;
      } finally {
        duration.observe((clock.monotonicMs() - startMs) / 1000);
      }
    },
    range: (request) => store.range(request),
    watch: (prefix, afterRevision, signal) => store.watch(prefix, afterRevision, signal),
    compact: (revision) => store.compact(revision),
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    renewLease: (lease) => store.renewLease(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    backup: store.backup,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
