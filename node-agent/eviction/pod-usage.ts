// What each pod uses of the resource that runs short, and what it asked for of it.
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { bytes } from "../../api/kinds/schema/quantity.ts";
import { containerId } from "../pods/container-labels.ts";
import { containersOf } from "../pods/pod-state.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import type { PodStorage } from "../pods/storage.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { isStatic } from "../static-pods.ts";
import type { Candidate, ScarceResource } from "./plan-eviction.ts";

/** Priorities from here on are for what the cluster itself needs. */
const criticalPriority = 2_000_000_000;
/** Counting goes no further in one folder: whoever has so many files is known well enough. */
const inodesMax = 200_000;

interface Use {
  readonly containers: readonly { readonly name: string; readonly used: number }[];
  readonly volumes: number;
}

export function isCriticalPod(pod: Pod): boolean {
  return isStatic(pod) || (pod.spec?.priority ?? 0) >= criticalPriority;
}

/** Pods that have ended use nothing that an eviction could free. */
export async function measureCandidates(
  workers: readonly PodWorker[],
  resource: ScarceResource,
  parts: { readonly runtime: Pick<Runtime, "stats">; readonly storage: Pick<PodStorage, "diskUse"> },
): Promise<readonly Candidate[]> {
  const candidates: Candidate[] = [];
  for (const worker of workers) {
    if (worker.isOver) continue;
    const running = worker.containers
      .filter(({ now }) => now.phase === "Running" || now.phase === "Stopping")
      .map(({ name, attempt }) => ({ name, id: containerId(worker.uid, name, attempt) }));
    const use =
      resource === "memory" || resource === "pids"
        ? await liveUse(running, resource, parts.runtime)
        : await diskUse(worker.pod, running, resource, parts.storage);
    candidates.push(toCandidate(worker.pod, resource, use));
  }
  return candidates;
}

export function toCandidate(pod: Pod, resource: ScarceResource, use: Use): Candidate {
  const containers = use.containers.map(({ name, used }) => {
    const container = containersOf(pod).find((each) => each.container.name === name)?.container;
    return { name, used, requested: container === undefined ? 0 : requestOf(container, resource) };
  });
  return {
    uid: pod.metadata?.uid ?? "",
    priority: pod.spec?.priority ?? 0,
    isCritical: isCriticalPod(pod),
    used: containers.reduce((sum, { used }) => sum + used, use.volumes),
    requested: (pod.spec?.containers ?? []).reduce((sum, container) => sum + requestOf(container, resource), 0),
    containers,
  };
}

function requestOf({ resources }: Container, resource: ScarceResource): number {
  if (resource === "inodes" || resource === "pids") return 0;
  return bytes(resources?.requests?.[resource] ?? resources?.limits?.[resource] ?? 0);
}

async function liveUse(
  running: readonly { readonly name: string; readonly id: string }[],
  resource: "memory" | "pids",
  runtime: Pick<Runtime, "stats">,
): Promise<Use> {
  const containers = await Promise.all(
    running.map(async ({ name, id }) => {
      // It may end while it is measured.
      const stats = await runtime.stats(id).catch(() => undefined);
      return { name, used: (resource === "memory" ? stats?.memoryWorkingSetBytes : stats?.pids) ?? 0 };
    }),
  );
  return { containers, volumes: 0 };
}

async function diskUse(
  pod: Pod,
  running: readonly { readonly name: string; readonly id: string }[],
  resource: "ephemeral-storage" | "inodes",
  storage: Pick<PodStorage, "diskUse">,
): Promise<Use> {
  const use = await storage.diskUse(pod, running, inodesMax);
  const of = (one: { readonly bytes: number; readonly inodes: number } | undefined) =>
    (resource === "inodes" ? one?.inodes : one?.bytes) ?? 0;
  return {
    containers: running.map(({ name }, i) => ({ name, used: of(use.containers[i]) })),
    volumes: of(use.volumes),
  };
}
