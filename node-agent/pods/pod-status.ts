// A pod's status as Kubernetes reports it, out of its state and its containers' records. Pure.

import type { Pod, PodCondition, PodStatus } from "../../api/kinds/generated/types.ts";
import { timestamp } from "../../lib/clock.ts";
import { containerStatus, isReady, type StatusContext } from "./container-status.ts";
import { initialised, restartsAll } from "./next-container-step.ts";
import { type ContainerRecord, type ContainerRole, containersOf, type PodState, type Wanted } from "./pod-state.ts";
import { qosClass } from "./resource-limits.ts";

export interface PodStatusInput {
  readonly state: PodState;
  readonly wanted: Wanted;
  /** Its node goes down and will end it: it runs, but Services are to look elsewhere. */
  readonly leaving?: boolean;
  readonly containers: readonly ContainerRecord[];
  readonly ips: readonly string[];
  readonly hostIp: string;
  /** The status reported before: times of conditions that stay, and what others have set, are taken from it. */
  readonly previous: PodStatus;
  readonly startedAtMs: number;
}

export function podStatus(input: PodStatusInput, nowMs: number): PodStatus {
  const { state, containers, previous, ips, hostIp } = input;
  const { pod } = input.wanted;
  const finished = state.phase === "Finished" ? state : undefined;
  const context: StatusContext = {
    pod,
    podInitialised: isInitialised(input),
    ending: finished !== undefined || input.wanted.intent.do === "stop",
  };
  const statuses = (...roles: readonly ContainerRole[]) =>
    containersOf(pod).flatMap(({ container }) => {
      const record = containers.find(({ name }) => name === container.name);
      return record !== undefined && roles.includes(record.role) ? [containerStatus(record, container, context)] : [];
    });
  const initStatuses = statuses("init", "sidecar");
  const ephemeralStatuses = statuses("ephemeral");
  return {
    phase: finished === undefined ? phaseOf(input) : finished.outcome,
    conditions: conditions(input, nowMs),
    ...(finished !== undefined && finished.reason !== "" ? { reason: finished.reason } : {}),
    ...(finished !== undefined && finished.message !== "" ? { message: finished.message } : {}),
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    startTime: previous.startTime ?? timestamp(input.startedAtMs),
    // A pod that was refused has none: "ContainerCreating" would be a lie.
    ...(finished?.outcome === "Failed" && containers.every(neverBegan)
      ? {}
      : {
          ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
          containerStatuses: statuses("main"),
        }),
    ...(ephemeralStatuses.length === 0 ? {} : { ephemeralContainerStatuses: ephemeralStatuses }),
    qosClass: previous.qosClass ?? qosClass(pod),
    ...(pod.metadata?.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
  };
}

function neverBegan({ now, last, attempt }: ContainerRecord): boolean {
  return now.phase === "Waiting" && last === undefined && attempt === 0;
}

// "Running" from the first container's start on; "Pending" before.
function phaseOf({ containers }: PodStatusInput): "Pending" | "Running" {
  const ran = containers.some(
    ({ role, now, last, attempt }) =>
      role === "main" &&
      (now.phase === "Running" ||
        now.phase === "Stopping" ||
        now.phase === "Exited" ||
        last !== undefined ||
        attempt > 0),
  );
  return ran ? "Running" : "Pending";
}

function isInitialised({ containers, state }: PodStatusInput): boolean {
  if (initialised(containers) || (state.phase === "Finished" && state.outcome === "Succeeded")) return true;
  return containers.every((record) => {
    if (record.role === "main" || record.role === "ephemeral") return true;
    return record.role === "init" ? isReady(record) : record.now.phase === "Running" && record.now.started;
  });
}

/** Ends that the node brought about, through no fault of the pod's programs. */
const disruptions: readonly string[] = ["Evicted", "Terminated"];

function conditions(input: PodStatusInput, nowMs: number): readonly PodCondition[] {
  const { state, containers, previous, wanted } = input;
  const finished = state.phase === "Finished" ? state : undefined;
  const names = (list: readonly ContainerRecord[]) => `[${list.map(({ name }) => name).join(" ")}]`;
  const ready = containers.filter(({ role }) => role === "main" || role === "sidecar");
  const unready = ready.filter((record) => !isReady(record));
  const waitingInit = containers.filter((record) => record.role === "init" && !isReady(record));
  const initOk = isInitialised(input);
  const containersReady: Draft =
    finished !== undefined
      ? { status: "False", reason: finished.outcome === "Succeeded" ? "PodCompleted" : "PodFailed" }
      : unready.length === 0 && initOk && state.phase === "Up"
        ? { status: "True" }
        : {
            status: "False",
            reason: "ContainersNotReady",
            message: `containers with unready status: ${names(unready)}`,
          };
  const drafts: readonly (Draft & { readonly type: string })[] = [
    {
      type: "PodReadyToStartContainers",
      status: state.phase === "Up" || (finished !== undefined && finished.leftovers === "here") ? "True" : "False",
    },
    initOk
      ? {
          type: "Initialized",
          status: "True",
          ...(finished?.outcome === "Succeeded" ? { reason: "PodCompleted" } : {}),
        }
      : {
          type: "Initialized",
          status: "False",
          reason: "ContainersNotInitialized",
          message: `containers with incomplete status: ${names(waitingInit)}`,
        },
    {
      type: "Ready",
      ...(input.leaving === true && containersReady.status === "True"
        ? leaving
        : readiness(wanted.pod, previous, containersReady)),
    },
    { type: "ContainersReady", ...containersReady },
    ...(beginsAnew(wanted.pod, containers) ? [{ type: "AllContainersRestarting", status: "True" } as const] : []),
    { type: "PodScheduled", status: "True" },
    ...(finished !== undefined && disruptions.includes(finished.reason)
      ? [
          {
            type: "DisruptionTarget",
            status: "True",
            reason: "TerminationByKubelet",
            message: finished.message,
          } as const,
        ]
      : []),
  ];
  const { generation } = wanted.pod.metadata ?? {};
  const ours = drafts.map((draft) => ({
    ...withTime(draft, previous, nowMs),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  }));
  // Conditions of others (readiness gates, the scheduler's) stay as the server has them.
  const others = (wanted.pod.status?.conditions ?? []).filter(
    ({ type }) => type !== "AllContainersRestarting" && !drafts.some((draft) => draft.type === type),
  );
  return [...ours, ...others];
}

function beginsAnew(pod: Pod, records: readonly ContainerRecord[]): boolean {
  return containersOf(pod).some(({ container }) => {
    const record = records.find(({ name }) => name === container.name);
    return record !== undefined && (record.again === "rules" || restartsAll(container, record));
  });
}

interface Draft {
  readonly status: "True" | "False";
  readonly reason?: string;
  readonly message?: string;
}

const leaving: Draft = { status: "False", reason: "NodeShutdown", message: "the node is about to end the pod" };

// Ready is ContainersReady and every readiness gate, whose conditions others set.
function readiness(pod: Pod, previous: PodStatus, containersReady: Draft): Draft {
  if (containersReady.status === "False") return containersReady;
  const closed = (pod.spec?.readinessGates ?? []).filter(({ conditionType }) => {
    const condition = [...(pod.status?.conditions ?? []), ...(previous.conditions ?? [])].find(
      ({ type }) => type === conditionType,
    );
    return condition?.status !== "True";
  });
  if (closed.length === 0) return containersReady;
  const message = `readiness gates not passed: ${closed.map(({ conditionType }) => conditionType).join(", ")}`;
  return { status: "False", reason: "ReadinessGatesNotReady", message };
}

function withTime(draft: Draft & { readonly type: string }, previous: PodStatus, nowMs: number): PodCondition {
  const before = previous.conditions?.find(({ type }) => type === draft.type);
  const kept = before?.status === draft.status ? before.lastTransitionTime : undefined;
  return { ...draft, lastTransitionTime: kept ?? timestamp(nowMs) };
}
