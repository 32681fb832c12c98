// Keeps a node alive when its memory, disk or process table runs short: looks every two seconds, frees what nobody needs first (unused
// images, then what dead containers left), and then ends one pod at a time. Decides nothing itself: plan-eviction.ts does.
import type { Pod } from "../../api/kinds/generated/types.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { ImageStore } from "../images/images.ts";
import type { EventRecorder } from "../pods/events.ts";
import { defaultGraceMs } from "../pods/next-container-step.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import { qosClass } from "../pods/resource-limits.ts";
import { messageOf } from "../pods/start-problem.ts";
import type { PodStorage } from "../pods/storage.ts";
import type { Runtime } from "../runtime/runtime.ts";
import {
  admissionRefusal,
  evictionGraceMs,
  evictionMessage,
  lookAtPressure,
  noPressure,
  type Passed,
  type Pressure,
  type PressureMemory,
  rankForEviction,
} from "./plan-eviction.ts";
import { type ImageCollectionLimits, planImageCollection } from "./plan-image-collection.ts";
import { isCriticalPod, measureCandidates } from "./pod-usage.ts";
import { minOf, type Observations, reliefOf, resourceOf, type Signal, type Threshold } from "./thresholds.ts";

const lookMs = 2000;
/** A pod that was evicted has so long to go before the next one is. */
const evictionMsMax = 30_000;
/** Images go until a little more than the threshold is free, not to be there again with the next file. */
const spareShare = 0.05;
/** Between looks for images that a full disk could do without; longer after one that did not find enough. */
const imagesMs = 60_000;
const imagesAgainMs = 300_000;
const memoryTaint = "node.kubernetes.io/memory-pressure";

export interface PressureParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly thresholds: readonly Threshold[];
  readonly transitionMs: number;
  /** What pods get at most to end by themselves when a soft threshold is passed. */
  readonly podGraceMsMax: number;
  readonly imageCollection: ImageCollectionLimits;
  readonly observe: () => Promise<Observations>;
  readonly workers: () => readonly PodWorker[];
  readonly events: () => EventRecorder | undefined;
  readonly runtime: Pick<Runtime, "stats">;
  readonly storage: Pick<PodStorage, "diskUse" | "removeRunsBefore">;
  readonly images: Pick<ImageStore, "collect">;
  readonly onChange: () => void;
}

export interface PressureCounts {
  readonly evictions: ReadonlyMap<Signal, number>;
  readonly imagesCollected: number;
}

/** Looks at once, and then until disposed. */
export async function openPressure(parts: PressureParts): Promise<NodePressure> {
  const pressure = new NodePressure(parts);
  await pressure.note();
  pressure.begin();
  return pressure;
}

export class NodePressure implements Disposable {
  readonly #parts: PressureParts;
  readonly #evictions = new Map<Signal, number>();
  #memory: PressureMemory = noPressure;
  #imagesCollected = 0;
  #evicting: { readonly worker: PodWorker; readonly untilMs: number } | undefined;
  /** Told already that this is being reclaimed. */
  #reclaiming: Signal | undefined;
  #imagesAtMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #ended = false;

  constructor(parts: PressureParts) {
    this.#parts = parts;
  }

  /** With the threshold that was passed last. */
  get conditions(): ReadonlyMap<Pressure, string> {
    return new Map(
      [...this.#memory.lastSeen].map(([pressure, { threshold }]) => [
        pressure,
        `${threshold.signal} is below ${threshold.text}`,
      ]),
    );
  }

  get counts(): PressureCounts {
    return { evictions: this.#evictions, imagesCollected: this.#imagesCollected };
  }

  /** Why a pod that has just come is refused; undefined: it may begin. */
  refusal(pod: Pod): string | undefined {
    return admissionRefusal(this.#memory.lastSeen.keys(), {
      isCritical: isCriticalPod(pod),
      isBestEffort: qosClass(pod) === "BestEffort",
      toleratesMemoryPressure: (pod.spec?.tolerations ?? []).some(
        ({ key = "", operator, effect = "" }) =>
          (key === memoryTaint || (key === "" && operator === "Exists")) && (effect === "" || effect === "NoSchedule"),
      ),
    });
  }

  begin(): void {
    this.#timer = this.#parts.clock.after(lookMs, () => {
      this.#pass()
        .catch((error) => this.#parts.log.warn({ error: messageOf(error) }, "could not look at the node's load"))
        .finally(() => this.#ended || this.begin());
    });
  }

  /** Looks and remembers; does nothing about it. */
  async note(): Promise<{ readonly passed: readonly Passed[]; readonly observations: Observations }> {
    const { clock, thresholds, transitionMs, observe } = this.#parts;
    const observations = await observe();
    const before = [...this.#memory.lastSeen.keys()];
    const { passed, memory } = lookAtPressure(this.#memory, observations, {
      thresholds,
      transitionMs,
      nowMs: clock.monotonicMs(),
    });
    this.#memory = memory;
    this.#tellConditions(before, [...memory.lastSeen.keys()]);
    return { passed, observations };
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#timer?.cancel();
  }

  async #pass(): Promise<void> {
    const { passed, observations } = await this.note();
    const [first] = passed;
    if (first === undefined) {
      this.#evicting = undefined;
      this.#reclaiming = undefined;
      await this.#collectImages(observations);
      return;
    }
    this.#tellReclaim(first.threshold.signal);
    const left = await this.#reclaim(first);
    if (left === undefined || this.#ended || this.#isGoing()) return;
    await this.#evict(left);
  }

  /** Frees what no pod needs; gives the threshold that is passed even so. */
  async #reclaim(first: Passed): Promise<Passed | undefined> {
    const { threshold, observation } = first;
    const resource = resourceOf(threshold.signal);
    if (resource === "memory" || resource === "pids") return first;
    const bytes =
      resource === "inodes"
        ? Number.POSITIVE_INFINITY
        : Math.max(
            reliefOf(threshold, observation),
            minOf(threshold, observation) + observation.capacity * spareShare,
          ) - observation.available;
    for (const free of [
      () => this.#collect(bytes),
      () => this.#collect(Number.POSITIVE_INFINITY),
      () => this.#removeDead(),
    ]) {
      await free().catch((error) => this.#parts.log.warn({ error: messageOf(error) }, "could not free disk space"));
      const { passed } = await this.note();
      const still = passed[0];
      if (still === undefined || still.threshold.signal !== threshold.signal) return undefined;
      first = still;
    }
    return first;
  }

  async #evict(passed: Passed): Promise<void> {
    const { workers, clock, log } = this.#parts;
    const resource = resourceOf(passed.threshold.signal);
    const all = workers();
    const [victim] = rankForEviction(resource, await measureCandidates(all, resource, this.#parts));
    const worker = all.find(({ uid }) => uid === victim?.uid);
    if (victim === undefined || worker === undefined) {
      log.warn({ resource }, "the node is low on a resource, and there is no pod to evict");
      return;
    }
    const message = evictionMessage(passed, victim);
    const graceMs = evictionGraceMs(passed, defaultGraceMs(worker.pod), this.#parts.podGraceMsMax);
    log.warn({ pod: worker.uid, message }, "evicting a pod");
    this.#evictions.set(passed.threshold.signal, (this.#evictions.get(passed.threshold.signal) ?? 0) + 1);
    this.#evicting = { worker, untilMs: clock.monotonicMs() + (graceMs ?? 0) + evictionMsMax };
    worker.evict(message, graceMs);
  }

  /** The last one may still free what is needed. */
  #isGoing(): boolean {
    const { clock } = this.#parts;
    if (this.#evicting === undefined) return false;
    const { worker, untilMs } = this.#evicting;
    return !worker.isOver && clock.monotonicMs() < untilMs;
  }

  async #collectImages(observations: Observations): Promise<void> {
    const disk = observations["imagefs.available"] ?? observations["nodefs.available"];
    const nowMs = this.#parts.clock.monotonicMs();
    const bytes = disk === undefined ? undefined : planImageCollection(disk, this.#parts.imageCollection);
    if (nowMs < this.#imagesAtMs) return;
    const { maxAgeMs } = this.#parts.imageCollection;
    if (bytes === undefined) {
      if (maxAgeMs === 0) return;
      this.#imagesAtMs = nowMs + imagesAgainMs;
      await this.#collect(Number.POSITIVE_INFINITY, maxAgeMs);
      return;
    }
    const freedBytes = await this.#collect(bytes);
    this.#imagesAtMs = nowMs + (freedBytes >= bytes ? imagesMs : imagesAgainMs);
    if (freedBytes >= bytes) return;
    const message =
      "Failed to garbage collect required amount of images. " +
      `Attempted to free ${bytes} bytes, but only found ${freedBytes} bytes eligible to free.`;
    this.#parts.events()?.node({ type: "Warning", reason: "FreeDiskSpaceFailed", message });
  }

  async #collect(bytes: number, minAgeMs = this.#parts.imageCollection.minAgeMs): Promise<number> {
    const { images, workers, log } = this.#parts;
    const { ownMinAgeMs } = this.#parts.imageCollection;
    // Containers that wait for their next run have no layer that would keep their image.
    const keep = new Set(
      workers()
        .filter(({ isOver }) => !isOver)
        .flatMap(({ containers }) => containers.map(({ imageId }) => imageId)),
    );
    const collected = await images.collect({ bytes, minAgeMs, ownMinAgeMs, keep });
    this.#imagesCollected += collected.images.length;
    if (collected.images.length > 0) {
      const names = collected.images.map(({ id, tags }) => tags[0] ?? id);
      log.info({ images: names, freedBytes: collected.freedBytes }, "removed images that nothing uses");
    }
    return collected.freedBytes;
  }

  // Logs of runs that are over: they can be read as long as there is room for them.
  async #removeDead(): Promise<void> {
    const { workers, storage } = this.#parts;
    for (const worker of workers()) {
      for (const { name, attempt } of worker.containers)
        await storage.removeRunsBefore(worker.pod, name, worker.isOver ? attempt + 1 : attempt);
    }
  }

  #tellReclaim(signal: Signal): void {
    if (this.#reclaiming === signal) return;
    this.#reclaiming = signal;
    const message = `Attempting to reclaim ${resourceOf(signal)}`;
    this.#parts.events()?.node({ type: "Warning", reason: "EvictionThresholdMet", message });
  }

  #tellConditions(before: readonly Pressure[], now: readonly Pressure[]): void {
    const names: Readonly<Record<Pressure, readonly [string, string]>> = {
      MemoryPressure: ["NodeHasInsufficientMemory", "NodeHasSufficientMemory"],
      DiskPressure: ["NodeHasDiskPressure", "NodeHasNoDiskPressure"],
      PIDPressure: ["NodeHasInsufficientPID", "NodeHasSufficientPID"],
    };
    const tell = (pressure: Pressure, isHigh: boolean) => {
      const reason = names[pressure][isHigh ? 0 : 1];
      this.#parts.events()?.node({ type: "Normal", reason, message: `Node status is now: ${reason}` });
    };
    const come = now.filter((pressure) => !before.includes(pressure));
    const gone = before.filter((pressure) => !now.includes(pressure));
    for (const pressure of come) tell(pressure, true);
    for (const pressure of gone) tell(pressure, false);
    if (come.length + gone.length > 0) this.#parts.onChange();
  }
}
