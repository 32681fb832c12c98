// Gives one pod's containers the resources that its spec has come to want, while they run: resize.ts decides, this does.
import type { Pod, PodStatus, ResourceRequirements } from "../../api/kinds/generated/types.ts";
import type { Timer } from "../../lib/clock.ts";
import { type ContainerStep, defaultGraceMs } from "./next-container-step.ts";
import type { PodParts } from "./pod-parts.ts";
import { type ContainerRecord, containersOf } from "./pod-state.ts";
import {
  allocatedPod,
  allocationOf,
  needsRestart,
  type Resize,
  resizeRefusal,
  toResize,
  withResize,
} from "./resize.ts";
import { containerResources, podResources } from "./resource-limits.ts";
import { messageOf } from "./start-problem.ts";

const retryMs = 10_000;

export interface ResizeListener {
  /** A resize may go on, or came to an end. */
  changed(): void;
  /** Containers have other resources now, which the pod's files may tell. */
  given(): void;
}

export class PodResizer {
  readonly #parts: PodParts;
  readonly #listener: ResizeListener;
  readonly #allocation: Map<string, ResourceRequirements>;
  #refused: Resize | undefined;
  #timer: Timer | undefined;
  #applied: { readonly from: Pod; readonly pod: Pod } | undefined;
  /** Wants nothing that it has not. */
  #settled: Pod | undefined;

  constructor(pod: Pod, parts: PodParts, listener: ResizeListener) {
    this.#parts = parts;
    this.#listener = listener;
    this.#allocation = new Map(allocationOf(pod));
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** The same object again while nothing changed: it is asked for at every step. */
  applyTo(pod: Pod): Pod {
    if (this.#applied?.from !== pod) this.#applied = { from: pod, pod: allocatedPod(pod, this.#allocation) };
    return this.#applied.pod;
  }

  tell(status: PodStatus, nowMs: number): PodStatus {
    return withResize(status, { actual: this.#allocation, resize: this.#refused, nowMs });
  }

  /** Starts what can be done now; gives the steps of containers that have to restart for it. */
  resize(pod: Pod, records: readonly ContainerRecord[]): readonly ContainerStep[] {
    if (pod === this.#settled) return [];
    const wanting = toResize(pod, this.#allocation);
    if (wanting.length === 0) {
      this.#refused = undefined;
      this.#settled = pod;
      return [];
    }
    const uid = pod.metadata?.uid;
    const others = this.#parts.podsHere().filter(({ metadata }) => metadata?.uid !== uid);
    this.#refused = resizeRefusal(pod, others, this.#parts.node);
    if (this.#refused !== undefined) {
      this.#again();
      return [];
    }
    const before = new Map(this.#allocation);
    for (const { name, resources = {} } of wanting) this.#give(name, resources);
    this.#listener.given();
    const steps: ContainerStep[] = [];
    for (const container of wanting) {
      const { name } = container;
      const now = records.find((record) => record.name === name)?.now;
      // Others start with it.
      if (now?.phase !== "Running") continue;
      if (needsRestart(container, before.get(name) ?? {})) {
        const message = `Container ${name} resize requires restart`;
        steps.push({ do: "stop", name, graceMs: defaultGraceMs(pod), message });
      } else this.#update(pod, name, { id: now.id, before: before.get(name) ?? {} });
    }
    return steps;
  }

  #update(pod: Pod, name: string, run: { readonly id: string; readonly before: ResourceRequirements }): void {
    const given = this.applyTo(pod);
    const container = containersOf(given).find((each) => each.container.name === name)?.container;
    if (container === undefined) return;
    const { runtime, events, node } = this.#parts;
    const resources = containerResources(container, given, node.memoryCapacityBytes);
    runtime.update(run.id, resources, podResources(given)).then(
      () => {
        events.pod(pod, {
          type: "Normal",
          reason: "ResizeCompleted",
          message: `Resized container ${name}`,
          container: name,
        });
        this.#listener.changed();
      },
      (error) => {
        this.#give(name, run.before);
        this.#refused = { condition: "PodResizeInProgress", reason: "Error", message: messageOf(error) };
        events.pod(pod, { type: "Warning", reason: "ResizeError", message: messageOf(error), container: name });
        this.#again();
      },
    );
  }

  #give(name: string, resources: ResourceRequirements): void {
    this.#allocation.set(name, resources);
    this.#applied = undefined;
    this.#settled = undefined;
  }

  #again(): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.after(retryMs, this.#listener.changed);
  }
}
