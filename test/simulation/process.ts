// A process of the simulated cluster: it can be killed at any instant, and from then on nothing of it runs or is heard.

import type { Store } from "../../api/store/store.ts";
import type { Client } from "../../client/client.ts";
import type { Clock, Timer } from "../../lib/clock.ts";

export interface Process {
  /** Its timers end with it. */
  readonly clock: Clock;
  readonly alive: boolean;
  /** Called once, when it is killed. */
  onKill(run: () => void): void;
  kill(): void;
}

export function openProcess(clock: Clock): Process {
  const timers = new Set<Timer>();
  const killed: (() => void)[] = [];
  let alive = true;
  return {
    clock: {
      now: clock.now,
      monotonicMs: clock.monotonicMs,
      after: (delayMs, run) => {
        if (!alive) return { cancel: () => {} };
        const timer = clock.after(delayMs, () => {
          timers.delete(timer);
          run();
        });
        timers.add(timer);
        return {
          cancel: () => {
            timers.delete(timer);
            timer.cancel();
          },
        };
      },
    },
    get alive() {
      return alive;
    },
    onKill: (run) => killed.push(run),
    kill: () => {
      if (!alive) return;
      alive = false;
      for (const timer of timers) timer.cancel();
      timers.clear();
      for (const run of killed.splice(0)) run();
    },
  };
}

/** What a process waits for: neither comes nor fails once it is dead, so that nothing of it goes on. */
export function heardBy<T>(process: Process, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    promise.then(
      (value) => process.alive && resolve(value),
      (error) => process.alive && reject(error),
    );
  });
}

/** Whatever a process holds of the outside: its promises are heard while it lives, and it can call nothing once it is dead. */
export function heldBy<T extends object>(process: Process, outside: T): T {
  return new Proxy(outside, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: readonly unknown[]) => {
        if (!process.alive) return new Promise(() => {});
        const result: unknown = Reflect.apply(value, target, args);
        return result instanceof Promise ? heardBy(process, result) : result;
      };
    },
  });
}

function call<T>(process: Process, begin: () => Promise<T>): Promise<T> {
  return process.alive ? heardBy(process, begin()) : new Promise(() => {});
}

/** The client in the hands of one process. */
export function clientOf(process: Process, client: Client): Client {
  return {
    get: (...args) => call(process, () => client.get(...args)),
    list: (...args) => call(process, () => client.list(...args)),
    watch: (resource, options, signal) =>
      iterate(process, client.watch(resource, options, AbortSignal.any([signal, aborted(process)]))),
    create: (...args) => call(process, () => client.create(...args)),
    update: (...args) => call(process, () => client.update(...args)),
    updateStatus: (...args) => call(process, () => client.updateStatus(...args)),
    patch: (...args) => call(process, () => client.patch(...args)),
    delete: (...args) => call(process, () => client.delete(...args)),
    bind: (...args) => call(process, () => client.bind(...args)),
  };
}

/** The store in the hands of one process. */
export function storeOf(process: Process, store: Store): Store {
  return {
    commit: (transaction) => call(process, () => store.commit(transaction)),
    range: (request) => call(process, () => store.range(request)),
    watch: (prefix, afterRevision, signal) =>
      iterate(process, store.watch(prefix, afterRevision, AbortSignal.any([signal, aborted(process)]))),
    compact: (revision) => call(process, () => store.compact(revision)),
    grantLease: (ttlMs) => call(process, () => store.grantLease(ttlMs)),
    renewLease: (lease) => call(process, () => store.renewLease(lease)),
    revokeLease: (lease) => call(process, () => store.revokeLease(lease)),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function* iterate<T>(process: Process, source: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const value of source) {
    if (!process.alive) break;
    yield value;
  }
  if (!process.alive) await new Promise(() => {});
}

function aborted(process: Process): AbortSignal {
  const controller = new AbortController();
  process.onKill(() => controller.abort(new Error("killed")));
  return controller.signal;
}
