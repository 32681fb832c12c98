// Runs what only one server of a cluster may do: at once with a store of its own, by election with a shared one.
import type { Lease } from "../api/kinds/generated/types.ts";
import type { Client } from "../client/client.ts";
import { electLeader } from "../client/leader-election.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";

export interface LeaderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** Other servers may write to the same store. */
  readonly shared: boolean;
  /** Unique among the servers, and the same after a restart: then it need not wait until its own lease has run out. */
  readonly identity: string;
}

const leaseName = "naru-leader";
export const leaderLease = `kube-system/${leaseName}`;

/** By which a server holds the lease, and is found by the others. */
export function identityOf(host: string, address: string, port: number): string {
  return `${host}/${address}:${port}`;
}

/** "host:port" of the gRPC of the server that leads; undefined when none does, or it is ourselves. All servers have the same port. */
export function leaderAddress(lease: Lease | undefined, own: string, nodePort: number): string | undefined {
  const holder = lease?.spec?.holderIdentity ?? "";
  if (holder === "" || holder === own) return undefined;
  const address = holder.slice(holder.indexOf("/") + 1, holder.lastIndexOf(":"));
  return `${address.includes(":") ? `[${address}]` : address}:${nodePort}`;
}

/** `start` is called each time this server has won, after what it returned the last time was disposed. */
export async function runAsLeader(
  options: LeaderOptions,
  start: () => Promise<AsyncDisposable>,
): Promise<AsyncDisposable> {
  if (!options.shared) return start();
  const { client, clock, log, identity } = options;
  const stop = new AbortController();
  const electing = electLeader(
    {
      client,
      clock,
      log,
      identity,
      lease: leaseName,
      lead: async (term, signal) => {
        log.info({ identity, term }, "leads");
        await using _running = await start();
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        if (!stop.signal.aborted) log.warn({ identity, term }, "leads no more");
      },
    },
    stop.signal,
  );
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error("server stops"));
      await electing;
    },
  };
}
