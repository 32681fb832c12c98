// Limits of what a pod may take on its node's disk, looked at as soon as one can have been passed: who is over one is evicted.
// Source: Kubernetes, "Local ephemeral storage", how eviction of pods by their own limits works.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { bytes, canonicalQuantity } from "../../api/kinds/schema/quantity.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { containerId } from "./container-labels.ts";
import type { PodWorker } from "./pod-worker.ts";
import { messageOf } from "./start-problem.ts";
import type { PodStorage } from "./storage.ts";

/** Each pod with a limit is measured at least so often. */
const periodMs = 10_000;
/** How often the disk is asked what is left of it: with pods that have a limit, and without. */
const glanceMs = 250;
const idleGlanceMs = 2000;
/** Measuring must not become all that the node does. */
const pausePerMeasuring = 4;

export interface StorageLimit {
  readonly of: "volume" | "container" | "pod";
  readonly name: string;
  readonly bytesMax: number;
  /** Told when it is passed. */
  readonly message: string;
}

/** In the order in which they are looked at. */
export function storageLimits(pod: Pod): readonly StorageLimit[] {
  const volumes = (pod.spec?.volumes ?? []).flatMap(({ name, emptyDir }): readonly StorageLimit[] => {
    const { sizeLimit, medium = "" } = emptyDir ?? {};
    // One in memory has its limit from the kernel.
    if (sizeLimit === undefined || medium !== "" || bytes(sizeLimit) === 0) return [];
    const message = `Usage of EmptyDir volume "${name}" exceeds the limit "${sizeLimit}". `;
    return [{ of: "volume", name, bytesMax: bytes(sizeLimit), message }];
  });
  const containers = (pod.spec?.containers ?? []).flatMap(({ name, resources }): readonly StorageLimit[] => {
    const limit = resources?.limits?.["ephemeral-storage"];
    if (limit === undefined) return [];
    const message = `Container ${name} exceeded its local ephemeral storage limit "${limit}". `;
    return [{ of: "container", name, bytesMax: bytes(limit), message }];
  });
  if (containers.length === 0) return volumes;
  const bytesMax = containers.reduce((sum, limit) => sum + limit.bytesMax, 0);
  const total = canonicalQuantity(`${bytesMax / 1024}Ki`);
  const message = `Pod ephemeral local storage usage exceeds the total limit of containers ${total}. `;
  return [...volumes, { of: "pod", name: "", bytesMax, message }, ...containers];
}

export interface LimitsSeen {
  /** The first limit that is passed. */
  readonly passed: StorageLimit | undefined;
  /** What can be written until the next one is; 0 when one is passed. */
  readonly leftBytes: number;
}

/** Looks no further than it has to. */
export async function lookAtLimits(
  pod: Pod,
  attempts: ReadonlyMap<string, number>,
  storage: Pick<PodStorage, "volumeBytes" | "containerBytes">,
): Promise<LimitsSeen> {
  const ofContainer = (name: string, bytesMax: number) => {
    const id = containerId(pod.metadata?.uid ?? "", name, attempts.get(name) ?? 0);
    return storage.containerBytes(pod, { name, id }, bytesMax);
  };
  let leftBytes = Number.POSITIVE_INFINITY;
  for (const limit of storageLimits(pod)) {
    const { bytesMax } = limit;
    let used = 0;
    if (limit.of === "volume") used = await storage.volumeBytes(pod, limit.name, bytesMax);
    if (limit.of === "container") used = await ofContainer(limit.name, bytesMax);
    if (limit.of === "pod") {
      for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
        if (emptyDir !== undefined && (emptyDir.medium ?? "") === "" && used <= bytesMax)
          used += await storage.volumeBytes(pod, name, bytesMax);
      }
      for (const name of attempts.keys()) if (used <= bytesMax) used += await ofContainer(name, bytesMax);
    }
    if (used > bytesMax) return { passed: limit, leftBytes: 0 };
    leftBytes = Math.min(leftBytes, bytesMax - used);
  }
  return { passed: undefined, leftBytes };
}

/** What is known from the last measuring. */
export interface Measured {
  readonly atMs: number;
  /** How long it took. */
  readonly durationMs: number;
  /** On the disk then, or later if there was more. */
  readonly freeBytes: number;
  /** The least that any pod could write then. */
  readonly leftBytes: number;
}

/** Whether somebody can have passed a limit since: nobody wrote more than what the disk lost. */
export function isDue(
  last: Measured,
  { nowMs, freeBytes }: { readonly nowMs: number; readonly freeBytes: number },
): boolean {
  const sinceMs = nowMs - last.atMs;
  if (sinceMs < last.durationMs * pausePerMeasuring) return false;
  return sinceMs >= periodMs || last.freeBytes - freeBytes >= Math.max(1, last.leftBytes);
}

/** Evicts pods that pass a limit, until disposed. */
export function watchStorageLimits(parts: {
  readonly workers: () => readonly Pick<PodWorker, "uid" | "pod" | "state" | "containers" | "evict">[];
  readonly storage: Pick<PodStorage, "freeBytes" | "volumeBytes" | "containerBytes">;
  readonly clock: Clock;
  readonly log: Logger;
}): Disposable {
  const { clock, storage, log } = parts;
  let timer: Timer | undefined;
  let ended = false;
  let last: Measured | undefined;
  let left = new Map<string, number>();
  const limited = () =>
    parts.workers().filter(({ state, pod }) => state.phase === "Up" && Number.isFinite(leastLimit(pod)));

  const measure = async (freeBytes: number) => {
    const atMs = clock.monotonicMs();
    const seen = new Map<string, number>();
    for (const worker of limited()) {
      if (ended) return;
      const attempts = new Map(worker.containers.map(({ name, attempt }) => [name, attempt]));
      const { passed, leftBytes } = await lookAtLimits(worker.pod, attempts, storage);
      if (passed === undefined) seen.set(worker.uid, leftBytes);
      else worker.evict(passed.message);
    }
    left = seen;
    last = { atMs, durationMs: clock.monotonicMs() - atMs, freeBytes, leftBytes: 0 };
  };
  // The file system's own count costs nothing; pods are measured when it says that one may have passed its limit.
  const glance = async () => {
    const pods = limited();
    if (pods.length === 0) return;
    const freeBytes = await storage.freeBytes();
    if (last === undefined) return measure(freeBytes);
    last = { ...last, freeBytes: Math.max(last.freeBytes, freeBytes) };
    const leftBytes = Math.min(...pods.map(({ uid, pod }) => left.get(uid) ?? leastLimit(pod)));
    if (isDue({ ...last, leftBytes }, { nowMs: clock.monotonicMs(), freeBytes })) await measure(freeBytes);
  };
  const again = () => {
    timer = clock.after(limited().length > 0 ? glanceMs : idleGlanceMs, () => {
      glance()
        .catch((error) => log.warn({ error: messageOf(error) }, "could not measure pods' storage"))
        .finally(() => ended || again());
    });
  };
  again();
  return {
    [Symbol.dispose]: () => {
      ended = true;
      timer?.cancel();
    },
  };
}

const leastLimits = new WeakMap<Pod, number>();

/** Asked for again and again: what a pod may write at least. Infinite without a limit. */
function leastLimit(pod: Pod): number {
  const known = leastLimits.get(pod);
  if (known !== undefined) return known;
  const least = Math.min(Number.POSITIVE_INFINITY, ...storageLimits(pod).map(({ bytesMax }) => bytesMax));
  leastLimits.set(pod, least);
  return least;
}
