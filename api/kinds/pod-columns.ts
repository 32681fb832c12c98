// What `kubectl get pods` shows. The STATUS column is a small story of its own.
// Source: the columns of kubectl 1.36, as observed, and Kubernetes documentation, "Pod Lifecycle".

import { ageColumn, column, nameColumn, wide } from "./columns.ts";
import { isTrue } from "./conditions.ts";
import type { ContainerState, ContainerStatus, Pod } from "./generated/types.ts";
import type { Column } from "./kind.ts";
import { hasEnded } from "./pod-phase.ts";
import { ageOf } from "./schema/human-age.ts";

export const podColumns: readonly Column<Pod>[] = [
  nameColumn,
  column("Ready", "Containers that are ready, of all.", (pod) => {
    const { ready, total } = summarize(pod);
    return `${ready}/${total}`;
  }),
  column("Status", "What the pod does, or why it does not.", (pod) => summarize(pod).status),
  column("Restarts", "How often its containers were restarted, and when last.", (pod, nowMs) => {
    const { restarts, lastRestart } = summarize(pod);
    return restarts > 0 && lastRestart !== "" ? `${restarts} (${ageOf(lastRestart, nowMs)} ago)` : String(restarts);
  }),
  ageColumn,
  wide("IP", "The pod's address.", (pod) => pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || "<none>"),
  wide("Node", "Where it runs.", (pod) => pod.spec?.nodeName || "<none>"),
  wide("Nominated Node", "Where room is being made for it.", (pod) => pod.status?.nominatedNodeName || "<none>"),
  wide("Readiness Gates", "Gates that are open, of all.", (pod) => {
    const gates = pod.spec?.readinessGates ?? [];
    const open = gates.filter((gate) => isTrue(pod.status?.conditions, gate.conditionType));
    return gates.length === 0 ? "<none>" : `${open.length}/${gates.length}`;
  }),
];

export interface PodSummary {
  readonly status: string;
  readonly ready: number;
  readonly total: number;
  readonly restarts: number;
  /** When a container last ended before a restart; "" when none did. */
  readonly lastRestart: string;
}

/** The STATUS, READY and RESTARTS of a pod. */
export function summarize(pod: Pod): PodSummary {
  const sidecars = new Set(
    (pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === "Always").map((c) => c.name),
  );
  const init = pod.status?.initContainerStatuses ?? [];
  const main = pod.status?.containerStatuses ?? [];
  const total = (pod.spec?.containers ?? []).length + sidecars.size;
  const sidecarStatuses = init.filter((s) => sidecars.has(s.name));
  const initializing = initializationOf(pod, init, sidecars);
  if (initializing !== undefined && !isTrue(pod.status?.conditions, "Initialized")) {
    const status = deletionOf(pod) ?? initializing;
    return { status, ready: readyOf(sidecarStatuses), total, ...restartsOf(init) };
  }
  return {
    status: deletionOf(pod) ?? runningStatus(pod, main),
    ready: readyOf([...sidecarStatuses, ...main]),
    total,
    ...restartsOf([...sidecarStatuses, ...main]),
  };
}

function deletionOf(pod: Pod): string | undefined {
  if (pod.metadata?.deletionTimestamp === undefined) return undefined;
  if (pod.status?.reason === "NodeLost") return "Unknown";
  return hasEnded(pod) ? undefined : "Terminating";
}

/** What holds up the first init container that has not done its part; undefined when none does. */
function initializationOf(
  pod: Pod,
  statuses: readonly ContainerStatus[],
  sidecars: ReadonlySet<string>,
): string | undefined {
  for (const [i, { name, state = {}, started }] of statuses.entries()) {
    if (state.terminated?.exitCode === 0) continue;
    if (sidecars.has(name) && started === true) continue;
    if (state.terminated !== undefined) return `Init:${endOf(state.terminated)}`;
    const reason = state.waiting?.reason;
    if (reason !== undefined && reason !== "" && reason !== "PodInitializing") return `Init:${reason}`;
    return `Init:${i}/${pod.spec?.initContainers?.length ?? 0}`;
  }
  return undefined;
}

function runningStatus(pod: Pod, statuses: readonly ContainerStatus[]): string {
  const gated = pod.status?.conditions?.some((c) => c.type === "PodScheduled" && c.reason === "SchedulingGated");
  const whole = gated === true ? "SchedulingGated" : pod.status?.reason || pod.status?.phase || "Unknown";
  const first = statuses.find(({ state }) => state?.waiting?.reason || state?.terminated !== undefined)?.state;
  if (first === undefined) return whole;
  const reason = first.waiting?.reason || (first.terminated === undefined ? whole : endOf(first.terminated));
  const running = statuses.some((s) => s.ready && s.state?.running !== undefined);
  if (reason !== "Completed" || !running) return reason;
  return isTrue(pod.status?.conditions, "Ready") ? "Running" : "NotReady";
}

function endOf({ reason, signal, exitCode }: NonNullable<ContainerState["terminated"]>): string {
  if (reason) return reason;
  return signal ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}

function readyOf(statuses: readonly ContainerStatus[]): number {
  return statuses.filter((s) => s.ready && s.state?.running !== undefined).length;
}

function restartsOf(statuses: readonly ContainerStatus[]): { restarts: number; lastRestart: string } {
  let restarts = 0;
  let lastRestart = "";
  for (const { restartCount, lastState } of statuses) {
    restarts += restartCount;
    const ended = lastState?.terminated?.finishedAt ?? "";
    if (ended > lastRestart) lastRestart = ended;
  }
  return { restarts, lastRestart };
}
