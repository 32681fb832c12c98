// Events about pods and the node, in Kubernetes' reasons: repeated ones are counted instead of told anew, floods are cut off.

import type { Event, ObjectReference, Pod } from "../../api/kinds/generated/types.ts";
import { type Clock, timestamp } from "../../lib/clock.ts";

export type EventType = "Normal" | "Warning";

export interface EventRecorder {
  /** `container` is named in the field path. */
  pod(
    pod: Pod,
    event: { readonly type: EventType; readonly reason: string; readonly message: string; readonly container?: string },
  ): void;
  node(event: { readonly type: EventType; readonly reason: string; readonly message: string }): void;
}

const keptMax = 2000;
const messageLengthMax = 1024;
/** Per object: that many at once, then one every `refillMs`. */
const burstMax = 50;
const refillMs = 10_000;

interface Kept {
  readonly name: string;
  readonly firstTimestamp: string;
  count: number;
}

export function openEventRecorder(options: {
  readonly clock: Clock;
  readonly nodeName: string;
  readonly send: (event: Event) => void;
}): EventRecorder {
  const { clock, nodeName, send } = options;
  const kept = new Map<string, Kept>();
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  let sequence = 0;

  const record = (involvedObject: ObjectReference, type: EventType, reason: string, text: string) => {
    const message = text.length > messageLengthMax ? `${text.slice(0, messageLengthMax - 3)}...` : text;
    const object = `${involvedObject.uid ?? involvedObject.name}`;
    if (!take(object)) return;
    const now = clock.now();
    const key = `${object}|${involvedObject.fieldPath ?? ""}|${type}|${reason}|${message}`;
    const before = kept.get(key);
    // Unique over restarts of the agent, as in Kubernetes: the object's name and the time.
    const entry = before ?? {
      name: `${involvedObject.name ?? ""}.${(now * 4096 + (sequence++ % 4096)).toString(16)}`,
      firstTimestamp: timestamp(now),
      count: 0,
    };
    entry.count++;
    kept.delete(key);
    kept.set(key, entry);
    trim(kept, keptMax);
    send({
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: entry.name, namespace: involvedObject.namespace ?? "default" },
      involvedObject,
      type,
      reason,
      message,
      source: { component: "kubelet", host: nodeName },
      reportingComponent: "kubelet",
      reportingInstance: nodeName,
      firstTimestamp: entry.firstTimestamp,
      lastTimestamp: timestamp(now),
      count: entry.count,
    });
  };

  const take = (object: string): boolean => {
    const now = clock.monotonicMs();
    const bucket = buckets.get(object) ?? { tokens: burstMax, atMs: now };
    buckets.delete(object);
    buckets.set(object, bucket);
    trim(buckets, keptMax);
    bucket.tokens = Math.min(burstMax, bucket.tokens + (now - bucket.atMs) / refillMs);
    bucket.atMs = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  };

  return {
    pod: (pod, { type, reason, message, container }) =>
      record(
        {
          apiVersion: "v1",
          kind: "Pod",
          namespace: pod.metadata?.namespace ?? "default",
          name: pod.metadata?.name ?? "",
          uid: pod.metadata?.uid ?? "",
          ...(pod.metadata?.resourceVersion === undefined ? {} : { resourceVersion: pod.metadata.resourceVersion }),
          ...(container === undefined ? {} : { fieldPath: fieldPath(pod, container) }),
        },
        type,
        reason,
        message,
      ),
    node: ({ type, reason, message }) => record({ kind: "Node", name: nodeName, uid: nodeName }, type, reason, message),
  };
}

function fieldPath(pod: Pod, container: string): string {
  const lists = ["initContainers", "ephemeralContainers"] as const;
  const list = lists.find((field) => pod.spec?.[field]?.some(({ name }) => name === container)) ?? "containers";
  return `spec.${list}{${container}}`;
}

// Maps keep the order of insertion: the first is the one not touched for longest.
function trim(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
