// One of several servers leads: it holds a Lease object and renews it; when it cannot, it stops before anybody else may start.
// Source: Kubernetes, "Leases"; client-go's leaderelection.
import { leases } from "../api/kinds/generated/resources.ts";
import type { Lease } from "../api/kinds/generated/types.ts";
import { isReason } from "../api/kinds/status.ts";
import { type Clock, microTimestamp, sleep } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Client } from "./client.ts";

export interface ElectionOptions {
  readonly client: Client;
  /** Name of the Lease in kube-system. */
  readonly lease: string;
  /** Who we are; unique among the candidates. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leaseMs?: number;
  /**
   * Called each time this candidate has won. `term` grows with every change of leader. The signal is aborted before the Lease may be lost;
   * the next try waits until this has settled.
   */
  readonly lead: (term: number, signal: AbortSignal) => Promise<void>;
}

/** Takes part until the signal is aborted; then gives the Lease back. */
export async function electLeader(options: ElectionOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, leaseMs = 15_000 } = options;
  const retryMs = leaseMs / 5;
  let observed = { version: "", atMs: clock.monotonicMs() };
  while (!signal.aborted) {
    try {
      const lease = await bounded(options, readLease(options), signal);
      // A holder's clock may differ from ours: what counts is how long we have seen no renewal.
      const version = lease?.metadata?.resourceVersion ?? "";
      if (version !== observed.version) observed = { version, atMs: clock.monotonicMs() };
      const holder = lease?.spec?.holderIdentity ?? "";
      const isOver = holder === "" || holder === options.identity || clock.monotonicMs() - observed.atMs > leaseMs;
      if (isOver) {
        const term = (lease?.spec?.leaseTransitions ?? 0) + 1;
        // Others count from when they see the write, which is not before we asked for it.
        const askedMs = clock.monotonicMs();
        const spec = { holderIdentity: options.identity, leaseTransitions: term };
        const held = await bounded(options, writeLease(options, lease, spec), signal);
        await leadWhileHeld(options, { lease: held, term, renewedMs: askedMs }, signal);
      }
    } catch (error) {
      if (!signal.aborted && !isReason(error, "Conflict", "AlreadyExists"))
        log.debug({ lease: options.lease, error }, "election try failed");
    }
    await sleep(clock, retryMs, signal).catch(() => {});
  }
}

interface Held {
  readonly lease: Lease;
  readonly term: number;
  /** When the write that made it ours was asked for, monotonic. */
  readonly renewedMs: number;
}

async function leadWhileHeld(options: ElectionOptions, first: Held, signal: AbortSignal): Promise<void> {
  const { clock, log, leaseMs = 15_000 } = options;
  const { term } = first;
  const lost = new AbortController();
  // Two thirds of the lease: a third is left to stop in. A timer of its own, since a renewal may hang for longer than that.
  const fence = (renewedMs: number) =>
    clock.after(Math.max(0, renewedMs + (leaseMs * 2) / 3 - clock.monotonicMs()), () => lost.abort(leadershipLost()));
  let timer = fence(first.renewedMs);
  const ended = AbortSignal.any([signal, lost.signal]);
  const leading = options
    .lead(term, ended)
    .catch((error) => {
      if (!ended.aborted) log.error({ lease: options.lease, term, error }, "leader failed");
    })
    .finally(() => lost.abort(leadershipLost()));
  let held = first.lease;
  while (!ended.aborted) {
    await sleep(clock, leaseMs / 5, ended).catch(() => {});
    if (ended.aborted) break;
    const askedMs = clock.monotonicMs();
    try {
      const spec = { holderIdentity: options.identity, leaseTransitions: term };
      held = await bounded(options, writeLease(options, held, spec), ended);
      timer.cancel();
      timer = fence(askedMs);
    } catch (error) {
      if (ended.aborted) break;
      log.warn({ lease: options.lease, error }, "lease not renewed");
      // Either somebody else has it, or our own write came through although its answer was lost: only a look can tell.
      if (isReason(error, "Conflict")) {
        const present = await bounded(options, readLease(options), ended).catch(() => undefined);
        if (present?.spec?.holderIdentity !== options.identity || present.spec.leaseTransitions !== term) break;
        held = present;
      }
    }
  }
  timer.cancel();
  lost.abort(leadershipLost());
  await leading;
  // Given back, so that nobody waits for it to run out; refused when it is another's by now.
  await bounded(options, writeLease(options, held, { holderIdentity: "", leaseTransitions: term })).catch(() => {});
}

function leadershipLost(): Error {
  return new Error("leadership lost");
}

/** The call's outcome; a rejection when the signal is aborted, or when a third of the lease has gone by without an answer. */
function bounded<T>({ clock, leaseMs = 15_000 }: ElectionOptions, call: Promise<T>, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(leaseMs / 3, () => reject(new Error("no answer in time")));
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    call.then(resolve, reject).finally(() => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    });
    if (signal?.aborted === true) onAbort();
  });
}

async function readLease({ client, lease }: ElectionOptions): Promise<Lease | undefined> {
  try {
    return await client.get(leases, { namespace: "kube-system", name: lease });
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}

// Compared by resourceVersion: of two candidates that write at once, one is refused.
function writeLease(
  { client, clock, lease, leaseMs = 15_000 }: ElectionOptions,
  present: Lease | undefined,
  spec: { readonly holderIdentity: string; readonly leaseTransitions: number },
): Promise<Lease> {
  const renewTime = microTimestamp(clock.now());
  const acquireTime =
    present?.spec?.holderIdentity === spec.holderIdentity ? (present.spec.acquireTime ?? renewTime) : renewTime;
  const next = { ...spec, renewTime, acquireTime, leaseDurationSeconds: Math.ceil(leaseMs / 1000) };
  if (present === undefined) {
    return client.create(leases, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { namespace: "kube-system", name: lease },
      spec: next,
    });
  }
  return client.update(leases, { ...present, spec: next });
}
