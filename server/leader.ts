// Runs what only one server of a cluster may do: at once with a store of its own, by election with a shared one.
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
      lease: "naru-leader",
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
