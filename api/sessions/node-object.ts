// The Node object as a session makes it: what the agent says of its machine, and whether it is heard. Pure.
import { isDeepStrictEqual } from "node:util";
import { timestamp } from "../../lib/clock.ts";
import type { Node, NodeCondition, NodeStatus } from "../kinds/generated/types.ts";
import { networkAnnotationPrefix } from "./projection.ts";

/** Which session last wrote the Node: another server's later session is not marked by this one. */
export const sessionAnnotation = "naru.dev/session";
/** Since when Ready has not been True, ms since the epoch; metav1.Time knows seconds only. */
export const notReadySinceAnnotation = "naru.dev/not-ready-since";

/** What the server knows of one node. */
export interface NodeWanted {
  readonly name: string;
  /** From hello; undefined for a node that has not dialled in since this server started. */
  readonly hello: Node | undefined;
  /** The latest report of this session. */
  readonly status: NodeStatus | undefined;
  readonly session: string;
  /** The Node's session annotation when this session began: until it is overwritten, nobody else has taken the node over. */
  readonly formerSession: string | undefined;
  /** Undefined while it is heard. */
  readonly lost: { readonly sinceEpochMs: number; readonly message: string } | undefined;
}

export type NodeStep =
  | { readonly type: "create"; readonly node: Node }
  | { readonly type: "update"; readonly node: Node }
  | { readonly type: "updateStatus"; readonly node: Node };

/** The next write that brings the object to what is wanted; undefined when it is there. Called again after each write. */
export function planNode(wanted: NodeWanted, present: Node | undefined, nowMs: number): NodeStep | undefined {
  if (wanted.lost !== undefined) return planLost(wanted, present, nowMs);
  if (wanted.hello === undefined) return undefined;
  const metadata = planMetadata(wanted, present);
  const status = planStatus(wanted, present?.status, nowMs);
  if (present === undefined) {
    const taints = wanted.hello.spec?.taints;
    const annotations = planNotReadySince(metadata.annotations, undefined, status, nowMs);
    const spec = taints === undefined ? {} : { taints };
    return {
      type: "create",
      node: { apiVersion: "v1", kind: "Node", metadata: { ...metadata, annotations }, spec, status },
    };
  }
  return planWrites(present, { ...present, metadata }, status, nowMs);
}

/** Ready=True. */
export function isReady(status: NodeStatus | undefined): boolean {
  return status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
}

function planLost(wanted: NodeWanted, present: Node | undefined, nowMs: number): NodeStep | undefined {
  const { lost } = wanted;
  if (lost === undefined || present === undefined || !isOurs(wanted, present)) return undefined;
  const conditions = (present.status?.conditions ?? []).map((condition) =>
    agentConditions.includes(condition.type) && condition.status !== "Unknown"
      ? {
          ...condition,
          status: "Unknown",
          reason: "NodeStatusUnknown",
          message: lost.message,
          lastTransitionTime: timestamp(nowMs),
        }
      : condition,
  );
  return planWrites(present, present, { ...present.status, conditions }, lost.sinceEpochMs);
}

// Another server may have taken the node over: then its word counts.
function isOurs({ session, formerSession }: NodeWanted, { metadata }: Node): boolean {
  const written = metadata?.annotations?.[sessionAnnotation];
  return written === session || written === formerSession;
}

// Metadata and status are two writes. "Not ready since" is there before Ready ends, and goes after it is back, so that whoever sees the
// condition sees since when.
function planWrites(present: Node, next: Node, status: NodeStatus, notReadyMs: number): NodeStep | undefined {
  const annotations = planNotReadySince({ ...next.metadata?.annotations }, present.status, status, notReadyMs);
  const metadata = { ...next.metadata, annotations };
  const isSame =
    isDeepStrictEqual(present.metadata?.labels ?? {}, metadata.labels ?? {}) &&
    isDeepStrictEqual(present.metadata?.annotations ?? {}, annotations);
  if (!isSame) return { type: "update", node: { ...present, metadata } };
  if (!isDeepStrictEqual(present.status, status)) return { type: "updateStatus", node: { ...present, status } };
  return undefined;
}

function planMetadata({ name, hello, session }: NodeWanted, present: Node | undefined) {
  const labels: Record<string, string> = { ...present?.metadata?.labels, "kubernetes.io/hostname": name };
  for (const [label, value] of Object.entries(hello?.metadata?.labels ?? {})) {
    if (mayLabelItself(label)) labels[label] = value;
  }
  const annotations: Record<string, string> = { ...present?.metadata?.annotations };
  for (const [annotation, value] of Object.entries(hello?.metadata?.annotations ?? {})) {
    if (annotation.startsWith(networkAnnotationPrefix)) annotations[annotation] = value;
  }
  annotations[sessionAnnotation] = session;
  return { ...present?.metadata, name, labels, annotations };
}

function planStatus(wanted: NodeWanted, present: NodeStatus | undefined, nowMs: number): NodeStatus {
  const reported: NodeStatus = { ...wanted.hello?.status, ...wanted.status };
  const conditions = (reported.conditions ?? []).filter(({ type }) => type !== "Ready");
  const ready = reported.conditions?.find(({ type }) => type === "Ready") ?? readyCondition;
  const own = [...conditions, ready].map((condition) => withTimes(condition, present, nowMs));
  const foreign = (present?.conditions ?? []).filter(({ type }) => !own.some((condition) => condition.type === type));
  return { ...present, ...reported, conditions: [...own, ...foreign.map((c) => heardAgain(c, nowMs))] };
}

const readyCondition: NodeCondition = {
  type: "Ready",
  status: "True",
  reason: "KubeletReady",
  message: "the agent's session is up",
};

const agentConditions: readonly string[] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

// Times move only with what they date, so that an unchanged report writes nothing.
function withTimes(condition: NodeCondition, present: NodeStatus | undefined, nowMs: number): NodeCondition {
  const old = present?.conditions?.find(({ type }) => type === condition.type);
  const { lastHeartbeatTime: _, lastTransitionTime: __, ...said } = condition;
  if (old !== undefined) {
    const { lastHeartbeatTime: ___, lastTransitionTime: ____, ...before } = old;
    if (isDeepStrictEqual(said, before)) return old;
  }
  const now = timestamp(nowMs);
  const lastTransitionTime = old?.status === condition.status ? (old.lastTransitionTime ?? now) : now;
  return { ...said, lastHeartbeatTime: now, lastTransitionTime };
}

// A condition that went Unknown with the session and that the agent does not report itself.
function heardAgain(condition: NodeCondition, nowMs: number): NodeCondition {
  if (condition.reason !== "NodeStatusUnknown" || !agentConditions.includes(condition.type)) return condition;
  return { ...condition, status: "False", reason: "KubeletReady", message: "", lastTransitionTime: timestamp(nowMs) };
}

/** Metadata and status are written within it. */
const settledMs = 10_000;

function planNotReadySince(
  annotations: Readonly<Record<string, string>>,
  present: NodeStatus | undefined,
  next: NodeStatus,
  notReadyMs: number,
): Record<string, string> {
  const { [notReadySinceAnnotation]: since, ...rest } = annotations;
  if (isReady(next))
    return isReady(present) || since === undefined ? rest : { ...rest, [notReadySinceAnnotation]: since };
  // While Ready is about to end, what an earlier time left behind is overwritten.
  const isFresh = since !== undefined && (!isReady(present) || Number(since) > notReadyMs - settledMs);
  return { ...rest, [notReadySinceAnnotation]: isFresh ? since : String(notReadyMs) };
}

// As Kubernetes' NodeRestriction admission: a node may not give itself labels by which others trust nodes.
function mayLabelItself(label: string): boolean {
  const prefix = label.includes("/") ? label.slice(0, label.indexOf("/")) : "";
  const isReserved = /(^|\.)(kubernetes|k8s)\.io$/.test(prefix);
  return !isReserved || ownLabels.has(label) || /(^|\.)(node|kubelet)\.kubernetes\.io$/.test(prefix);
}

const ownLabels: ReadonlySet<string> = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
]);
