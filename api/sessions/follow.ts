// Follows all objects of one resource: a list, then its changes, and a new list whenever history was lost.

import type { Client } from "../../client/client.ts";
import { type BackoffLimits, backoffMs } from "../../lib/backoff.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";
import { isReason } from "../kinds/status.ts";

export interface Follower<T extends KubeObject> {
  /** The whole, at the start and after a break. */
  replace(objects: readonly T[]): void;
  put(object: T): void;
  remove(object: T): void;
}

export interface FollowParts {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const backoff: BackoffLimits = { firstMs: 50, maxMs: 5000 };

/** Resolves once the first list has been given to the follower; goes on until aborted. */
export function follow<T extends KubeObject>(
  resource: Resource<T>,
  follower: Follower<T>,
  parts: FollowParts,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    void run(resource, { ...follower, synced: resolve }, parts, signal);
  });
}

async function run<T extends KubeObject>(
  resource: Resource<T>,
  follower: Follower<T> & { readonly synced: () => void },
  { client, clock, random, log }: FollowParts,
  signal: AbortSignal,
): Promise<void> {
  let version: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (version === undefined) {
        const list = await client.list(resource, {}, signal);
        follower.replace(list.items);
        version = list.resourceVersion;
        follower.synced();
      }
      for await (const event of client.watch(resource, { resourceVersion: version }, signal)) {
        if (signal.aborted) return;
        failures = 0;
        if (event.type === "BOOKMARK") {
          version = event.resourceVersion;
          continue;
        }
        if (event.type === "DELETED") follower.remove(event.object);
        else follower.put(event.object);
        version = event.object.metadata?.resourceVersion ?? version;
      }
      failures++;
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      if (isReason(error, "Expired", "Gone")) version = undefined;
      else log.warn({ resource: resource.resource, error: String(error) }, "watch failed");
    }
    await sleep(clock, backoffMs(backoff, failures, random), signal).catch(() => {});
  }
}
