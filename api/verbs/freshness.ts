// How new a read must be, by the resourceVersion that the client gave.
// Source: Kubernetes documentation, "API concepts", "Resource versions".
import { ApiError } from "../kinds/status.ts";
import type { Context } from "./context.ts";

const futureWaitMsMax = 3000;

/** "" and absent become undefined; refuses what is no whole number. */
export function parseRevision(resourceVersion: string | undefined): number | undefined {
  if (resourceVersion === undefined || resourceVersion === "") return undefined;
  const revision = /^\d{1,15}$/.test(resourceVersion) ? Number(resourceVersion) : Number.NaN;
  if (Number.isNaN(revision)) {
    throw new ApiError(
      "BadRequest",
      `invalid resource version ${JSON.stringify(resourceVersion)}: must be a whole number`,
    );
  }
  return revision;
}

/** Waits until the cache is as new as the request asks. */
export async function reachRevision(
  context: Context,
  resourceVersion: string | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const revision = parseRevision(resourceVersion);
  if (revision === undefined) {
    // A single server sees its own commits before it answers them.
    if (context.sharedStore) await context.cache.waitUntilFresh(signal);
  } else if (revision > context.cache.revision) {
    await reachFuture(context, revision, signal);
  }
}

/** A version that no server has reached yet may be a mistake: wait a little, then say so. */
async function reachFuture(context: Context, revision: number, signal: AbortSignal | undefined): Promise<void> {
  const late = new AbortController();
  const timer = context.clock.after(futureWaitMsMax, () => late.abort());
  const either = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
  try {
    await context.cache.waitUntil(revision, either);
  } catch (cause) {
    if (!late.signal.aborted) throw cause;
    throw new ApiError("Timeout", `Too large resource version: ${revision}, current: ${context.cache.revision}`, {
      cause,
      details: {
        causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
        retryAfterSeconds: 1,
      },
    });
  } finally {
    timer.cancel();
  }
}
