// What an agent finds at its start, sorted by pod: which containers go on, which are stale. Pure.
import type { Pod } from "../../api/kinds/generated/types.ts";
import { type Container, ownSandboxPrefix, type Sandbox } from "../runtime/runtime.ts";
import { type ContainerLabels, readLabels } from "./container-labels.ts";
import { terminationOf } from "./container-transitions.ts";
import { type ContainerRecord, containersOf } from "./pod-state.ts";

export interface Found {
  readonly containers: readonly Container[];
  readonly sandboxes: readonly Sandbox[];
}

/** All that the node holds for one pod. */
export interface FoundPod {
  readonly uid: string;
  /** Every container that the runtime has for it. */
  readonly ids: ReadonlySet<string>;
  /** Where its containers have theirs: an agent of an earlier version may have put them elsewhere than this one would. */
  readonly cgroup: string | undefined;
  /** Made but never started, when the agent died: to be removed before anything else. */
  readonly unfinished: readonly string[];
  readonly labelled: readonly { readonly labels: ContainerLabels; readonly container: Container }[];
}

export function planAdoption(found: Found): ReadonlyMap<string, FoundPod> {
  const uids = new Set(found.sandboxes.map(({ id }) => id).filter((id) => !id.startsWith(ownSandboxPrefix)));
  const labelled = found.containers.flatMap((container) => {
    const labels = readLabels(container);
    return labels === undefined ? [] : [{ labels, container }];
  });
  for (const { labels } of labelled) uids.add(labels.podUid);
  return new Map(
    [...uids].map((uid) => {
      const its = labelled.filter(({ labels }) => labels.podUid === uid);
      return [
        uid,
        {
          uid,
          ids: new Set(its.map(({ container }) => container.id)),
          cgroup: cgroupAbove(its[0]?.container.cgroupPath),
          unfinished: its
            .filter(({ container }) => container.state.status === "created")
            .map(({ container }) => container.id),
          labelled: its,
        },
      ] as const;
    }),
  );
}

function cgroupAbove(path: string | undefined): string | undefined {
  return path?.slice(0, path.lastIndexOf("/"));
}

/** The records that go on for a pod: for each container its latest run, and the one before. */
export function adoptedRecords(pod: Pod, found: FoundPod): readonly ContainerRecord[] {
  const names = new Set(found.labelled.map(({ labels }) => labels.name));
  return [...names].flatMap((name) => {
    const runs = found.labelled
      .filter(({ labels, container }) => labels.name === name && container.state.status !== "created")
      .sort((a, b) => b.labels.attempt - a.labels.attempt);
    const [latest, before] = runs;
    if (latest === undefined) return [];
    const { labels, container } = latest;
    const now = phaseOf(pod, labels, container);
    if (now === undefined) return [];
    return [
      {
        name,
        role: labels.role,
        attempt: labels.attempt,
        now,
        last:
          before?.container.state.status === "stopped"
            ? terminationOf(before.container.id, before.container.state, "")
            : undefined,
        imageId: labels.imageId,
        imagePin: labels.imagePin,
        user: labels.user,
        backoff: undefined,
        pull: undefined,
      },
    ];
  });
}

function phaseOf(pod: Pod, labels: ContainerLabels, { id, state }: Container): ContainerRecord["now"] | undefined {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  const reported = all.find(({ name }) => name === labels.name);
  const spec = containersOf(pod).find(({ container }) => container.name === labels.name)?.container;
  const same = reported?.containerID === `naru://${id}`;
  switch (state.status) {
    case "created":
      return undefined;
    case "running": {
      // What probes had found before holds until they find otherwise: a restart of the agent must not take services away.
      const started = spec?.startupProbe === undefined || (same && reported?.started === true);
      const ready = started && (spec?.readinessProbe === undefined || (same && reported?.ready === true));
      return {
        phase: "Running",
        id,
        startedAtMs: state.startedAtMs,
        image: labels.image,
        started,
        ready,
        unhealthy: undefined,
      };
    }
    case "stopped":
      return { phase: "Exited", exit: terminationOf(id, state, ""), backoffNoted: false };
  }
}
