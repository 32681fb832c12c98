// The node's own pods beside those of the server: their workers, and the mirrors by which the API shows them.

import type { Event, Pod, RuntimeClass } from "../api/kinds/generated/types.ts";
import { mirrored } from "../api/kinds/mirror-pod.ts";
import { keyOf } from "../api/kinds/resource.ts";
import type { PodWorker } from "./pods/pod-worker.ts";
import { withClass } from "./pods/runtime-handler.ts";
import { messageOf } from "./pods/start-problem.ts";
import type { NodeCache, Reports } from "./session-types.ts";
import { isStatic, mirrorOf } from "./static-pods.ts";

export interface StaticWorkersParts {
  readonly cache: NodeCache;
  readonly reports: Reports;
  readonly workers: () => readonly PodWorker[];
  readonly add: (pod: Pod) => void;
  /** Of RuntimeClasses, by name. */
  readonly runtimeClass: (name: string) => RuntimeClass | undefined;
  readonly refused: (pod: Pod, why: string) => void;
}

export class StaticWorkers {
  readonly #parts: StaticWorkersParts;
  /** By uid; undefined until the node's files were read. */
  #pods: ReadonlyMap<string, Pod> | undefined;

  constructor(parts: StaticWorkersParts) {
    this.#parts = parts;
  }

  /** What the files ask for now; `sync` brings it about. */
  set(pods: readonly Pod[]): void {
    this.#pods = new Map(pods.map((pod) => [pod.metadata?.uid ?? "", pod]));
    this.#show();
    for (const pod of this.#parts.cache.list("pods")) if (mirrored(pod) !== undefined) this.#onMirror(pod);
  }

  /** Ends workers whose file went and adds those that lack; what a file changed to starts when what it was has ended. */
  sync(): void {
    const { workers, add } = this.#parts;
    if (this.#pods === undefined) return;
    for (const worker of workers()) if (isStatic(worker.pod) && !this.#pods.has(worker.uid)) worker.remove();
    const taken = new Set(workers().map(({ pod }) => keyOf(pod)));
    for (const pod of this.#pods.values()) {
      const admitted = taken.has(keyOf(pod)) ? undefined : this.#admit(pod);
      if (admitted !== undefined) add(admitted);
    }
  }

  /** A RuntimeClass came or is another one. */
  classChanged(name: string): void {
    this.sync();
    for (const worker of this.#parts.workers()) {
      const own = this.#pods?.get(worker.uid);
      const admitted = own?.spec?.runtimeClassName === name ? this.#admit(own) : undefined;
      if (admitted !== undefined) worker.update(admitted);
    }
  }

  #admit(pod: Pod): Pod | undefined {
    try {
      return withClass(pod, this.#parts.runtimeClass);
    } catch (error) {
      this.#parts.refused(pod, messageOf(error));
      return undefined;
    }
  }

  /** True when the object of the API is a mirror, or was one: nothing is run by it. */
  handles(key: string, pod: Pod | undefined): boolean {
    if (pod !== undefined && mirrored(pod) !== undefined) {
      this.#onMirror(pod);
      return true;
    }
    if (pod !== undefined || ![...(this.#pods?.values() ?? [])].some((own) => keyOf(own) === key)) return false;
    this.#show();
    return true;
  }

  /** The object that the API has for a pod; undefined for a static one that it does not show yet. */
  shown(pod: Pod): Pod | undefined {
    if (!isStatic(pod)) return pod;
    const mirror = this.#parts.cache.get("pods", keyOf(pod));
    return mirror !== undefined && mirrored(mirror) === pod.metadata?.uid ? mirror : undefined;
  }

  /** An event with the uid by which the API knows its pod; undefined when it does not know it yet. */
  shownEvent(event: Event): Event | undefined {
    const { involvedObject } = event;
    const own = this.#pods?.get(involvedObject.uid ?? "");
    if (own === undefined) return event;
    const uid = this.shown(own)?.metadata?.uid;
    return uid === undefined ? undefined : { ...event, involvedObject: { ...involvedObject, uid } };
  }

  /** The uid of the static pod that the API's object of this uid mirrors. */
  uidOfMirror(uid: string): string | undefined {
    const mirror = this.#parts.cache.list("pods").find(({ metadata }) => metadata?.uid === uid);
    return mirror === undefined ? undefined : mirrored(mirror);
  }

  #show(): void {
    if (this.#pods !== undefined) this.#parts.reports.mirrorPods([...this.#pods.values()].map(mirrorOf));
  }

  // One that is deleted goes, and comes again: the file alone decides.
  #onMirror(mirror: Pod): void {
    if (this.#pods === undefined) return;
    const { namespace = "default", name = "", uid = "", deletionTimestamp } = mirror.metadata ?? {};
    const own = mirrored(mirror) ?? "";
    if (!this.#pods.has(own) || deletionTimestamp !== undefined) this.#parts.reports.podGone({ namespace, name, uid });
    else
      this.#parts
        .workers()
        .find((worker) => worker.uid === own)
        ?.reportAgain();
  }
}
