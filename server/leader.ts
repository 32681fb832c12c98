// Runs the controllers and the scheduler in exactly one server: at once with a store of its own, by election with a shared one.
import { hostname } from "node:os";
import type { Client } from "../client/client.ts";
import { electLeader } from "../client/leader-election.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { nameSuffix, type Random } from "../lib/random.ts";

export interface LeaderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Other servers may write to the same store. */
  readonly shared: boolean;
}

export async function runAsLeader(
  options: LeaderOptions,
  start: () => Promise<AsyncDisposable>,
): Promise<AsyncDisposable> {
  if (!options.shared) return start();
  const { client, clock, log } = options;
  const stop = new AbortController();
  const identity = `${hostname()}-${nameSuffix(options.random, 8)}`;
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
