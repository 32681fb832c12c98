// A container's record as Kubernetes' ContainerStatus. Pure.

import type {
  Container,
  ContainerState,
  ContainerStatus,
  LinuxContainerUser,
  Pod,
  VolumeMount,
  VolumeMountStatus,
} from "../../api/kinds/generated/types.ts";
import { unreachable } from "../../lib/assert.ts";
import { timestamp } from "../../lib/clock.ts";
import { containerId } from "./container-labels.ts";
import { isFinal } from "./next-container-step.ts";
import type { ContainerRecord, Termination } from "./pod-state.ts";
import { restartAtMs } from "./restart-backoff.ts";
import type { UnixUser } from "./security.ts";

export interface StatusContext {
  readonly pod: Pod;
  readonly podInitialised: boolean;
  /** No container will be started any more: waiting ones are shown as they ended. */
  readonly ending: boolean;
}

export function containerStatus(
  record: ContainerRecord,
  container: Container,
  context: StatusContext,
): ContainerStatus {
  const shown = stateOf(record, context);
  const id = idOf(record, context.pod);
  const { volumeMounts: mounts = [] } = container;
  return {
    name: record.name,
    state: shown.state,
    lastState: shown.last === undefined ? {} : { terminated: terminated(shown.last) },
    ready: isReady(record),
    restartCount: record.attempt,
    image: container.image ?? "",
    imageID: record.imagePin,
    ...(id === undefined ? {} : { containerID: `naru://${id}` }),
    started: record.now.phase === "Running" ? record.now.started : false,
    ...(id === undefined || mounts.length === 0 ? {} : { volumeMounts: mounts.map(mountStatus) }),
    ...(record.user === undefined ? {} : { user: { linux: linuxUser(record.user) } }),
  };
}

/** As it came out: "IfPossible" is so here. */
function mountStatus({
  name,
  mountPath,
  readOnly,
  recursiveReadOnly: mode = "Disabled",
}: VolumeMount): VolumeMountStatus {
  if (readOnly !== true) return { name, mountPath };
  return { name, mountPath, readOnly, recursiveReadOnly: mode === "IfPossible" ? "Enabled" : mode };
}

/** Its own group is among them, as the kernel has it. */
function linuxUser({ uid, gid, additionalGids }: UnixUser): LinuxContainerUser {
  return { uid, gid, supplementalGroups: [...new Set([gid, ...additionalGids])].sort((a, b) => a - b) };
}

/** As the Ready condition counts it: init containers are ready when they have succeeded. */
export function isReady(record: ContainerRecord): boolean {
  if (record.role === "ephemeral") return false;
  if (record.role === "init") return record.now.phase === "Exited" && record.now.exit.exitCode === 0;
  return record.now.phase === "Running" && record.now.ready;
}

function stateOf(
  record: ContainerRecord,
  context: StatusContext,
): { readonly state: ContainerState; readonly last: Termination | undefined } {
  const { now } = record;
  switch (now.phase) {
    case "Waiting":
      return { state: { waiting: waiting(now.reason, now.message, record, context) }, last: record.last };
    case "Starting":
      return { state: { waiting: waiting("ContainerCreating", "", record, context) }, last: record.last };
    case "Running":
    case "Stopping":
      return { state: { running: { startedAt: timestamp(now.startedAtMs) } }, last: record.last };
    case "Exited":
      if (context.ending || isFinal(record, context.pod) || !now.backoffNoted) {
        return { state: { terminated: terminated(now.exit) }, last: record.last };
      }
      return { state: { waiting: crashLoop(record, now.exit, context.pod) }, last: now.exit };
    default:
      return unreachable(now);
  }
}

function waiting(reason: string, message: string, record: ContainerRecord, context: StatusContext) {
  const initial = record.role === "main" && !context.podInitialised ? "PodInitializing" : "ContainerCreating";
  return { reason: reason === "" ? initial : reason, ...(message === "" ? {} : { message }) };
}

function crashLoop(record: ContainerRecord, exit: Termination, pod: Pod) {
  const seconds = Math.round((restartAtMs(record.backoff, exit.finishedAtMs) - exit.finishedAtMs) / 1000);
  const { namespace = "default", name = "", uid = "" } = pod.metadata ?? {};
  return {
    reason: "CrashLoopBackOff",
    message: `back-off ${duration(seconds)} restarting failed container=${record.name} pod=${name}_${namespace}(${uid})`,
  };
}

// As Go prints it: 10s, 1m20s, 5m0s.
function duration(seconds: number): string {
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

function terminated(exit: Termination) {
  return {
    exitCode: exit.exitCode,
    ...(exit.signal === undefined ? {} : { signal: exit.signal }),
    reason: exit.reason,
    ...(exit.message === "" ? {} : { message: exit.message }),
    startedAt: timestamp(exit.startedAtMs),
    finishedAt: timestamp(exit.finishedAtMs),
    containerID: `naru://${exit.id}`,
  };
}

function idOf(record: ContainerRecord, pod: Pod): string | undefined {
  const { now } = record;
  if (now.phase === "Running" || now.phase === "Stopping") return now.id;
  if (now.phase === "Exited") return now.exit.id;
  if (record.last !== undefined) return record.last.id;
  return record.attempt > 0 ? containerId(pod.metadata?.uid ?? "", record.name, record.attempt - 1) : undefined;
}
