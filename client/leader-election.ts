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
      const lease = await readLease(options);
      // A holder's clock may differ from ours: what counts is how long we have seen no renewal.
      const version = lease?.metadata?.resourceVersion ?? "";
      if (version !== observed.version) observed = { version, atMs: clock.monotonicMs() };
      const holder = lease?.spec?.holderIdentity ?? "";
      const isOver = holder === "" || holder === options.identity || clock.monotonicMs() - observed.atMs > leaseMs;
      if (isOver) {
        const term = (lease?.spec?.leaseTransitions ?? 0) + 1;
        const held = await writeLease(options, lease, { holderIdentity: options.identity, leaseTransitions: term });
        await leadWhileHeld(options, held, term, signal);
      }
    } catch (error) {
      if (!signal.aborted && !isReason(error, "Conflict", "AlreadyExists"))
        log.debug({ lease: options.lease, error }, "election try failed");
    }
    await sleep(clock, retryMs, signal).catch(() => {});
  }
}

async function leadWhileHeld(options: ElectionOptions, first: Lease, term: number, signal: AbortSignal): Promise<void> {
  const { clock, log, leaseMs = 15_000 } = options;
  const lost = new AbortController();
  const leading = options.lead(term, AbortSignal.any([signal, lost.signal]));
  let held = first;
  let renewedMs = clock.monotonicMs();
  // Two thirds of the lease: a third is left to stop in.
  while (!signal.aborted && clock.monotonicMs() - renewedMs < (leaseMs * 2) / 3) {
    await sleep(clock, leaseMs / 5, signal).catch(() => {});
    if (signal.aborted) break;
    const askedMs = clock.monotonicMs();
    try {
      held = await writeLease(options, held, { holderIdentity: options.identity, leaseTransitions: term });
      renewedMs = askedMs;
    } catch (error) {
      log.warn({ lease: options.lease, error }, "lease not renewed");
      if (isReason(error, "Conflict")) break;
    }
  }
  lost.abort(new Error("leadership lost"));
  await leading;
  if (signal.aborted) await writeLease(options, held, { holderIdentity: "", leaseTransitions: term }).catch(() => {});
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
