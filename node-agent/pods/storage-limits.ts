// Limits of what a pod may take on its node's disk, looked at now and then: who is over one is evicted.
// Source: Kubernetes, "Local ephemeral storage", how eviction of pods by their own limits works.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { bytes } from "../../api/kinds/schema/quantity.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { containerId } from "./container-labels.ts";
import type { PodWorker } from "./pod-worker.ts";
import { messageOf } from "./start-problem.ts";
import type { PodStorage } from "./storage.ts";

const periodMs = 10_000;

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
  const message = `Pod ephemeral local storage usage exceeds the total limit of containers ${bytesMax}. `;
  return [...volumes, { of: "pod", name: "", bytesMax, message }, ...containers];
}

/** The first limit that is passed; looks no further than it has to. */
export async function passedLimit(
  pod: Pod,
  attempts: ReadonlyMap<string, number>,
  storage: Pick<PodStorage, "volumeBytes" | "containerBytes">,
): Promise<StorageLimit | undefined> {
  const ofContainer = (name: string, bytesMax: number) => {
    const id = containerId(pod.metadata?.uid ?? "", name, attempts.get(name) ?? 0);
    return storage.containerBytes(pod, { name, id }, bytesMax);
  };
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
    if (used > bytesMax) return limit;
  }
  return undefined;
}

/** Evicts pods that pass a limit, until disposed. */
export function watchStorageLimits(parts: {
  readonly workers: () => readonly PodWorker[];
  readonly storage: PodStorage;
  readonly clock: Clock;
  readonly log: Logger;
}): Disposable {
  let timer: Timer | undefined;
  let ended = false;
  const look = async () => {
    for (const worker of parts.workers()) {
      if (ended || worker.state.phase !== "Up") continue;
      const attempts = new Map(worker.containers.map(({ name, attempt }) => [name, attempt]));
      const limit = await passedLimit(worker.pod, attempts, parts.storage);
      if (limit !== undefined) worker.evict(limit.message);
    }
  };
  const again = () => {
    timer = parts.clock.after(periodMs, () => {
      look()
        .catch((error) => parts.log.warn({ error: messageOf(error) }, "could not measure pods' storage"))
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
