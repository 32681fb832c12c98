// What the agent has to say: the latest status per pod and of the node, pods that are gone, and a bounded queue of events. What is not
// acknowledged in time is sent again; a new session is told everything. Events let others go first: a server is as long busy with one as
// with a status, for which users wait.
import { create } from "@bufbuild/protobuf";
import type { Clock, Timer } from "../lib/clock.ts";
import {
  type AgentMessage,
  AgentMessageSchema,
  EventReportSchema,
  MirrorPodsSchema,
  NodeStatusReportSchema,
  PodGoneSchema,
  PodStatusReportSchema,
} from "../proto/generated/node_pb.ts";
import type { PodName, Reports } from "./session-types.ts";

export interface Outbox extends Reports {
  /** The next message to send, undefined when nothing waits. It counts as sent at `nowMs`. */
  next(nowMs: number): AgentMessage | undefined;
  acknowledged(sequence: bigint): void;
  /** Makes everything unacknowledged that was sent before `sentBeforeMs` wait again. True when there is such. */
  resend(sentBeforeMs: number): boolean;
  /** A new session: everything is said again, for the server may have thought this node lost and marked its pods. */
  resendAll(): void;
  /** The agent ends: events wait no more. */
  hurry(): void;
  /** A number for another message that wants an acknowledgement. */
  nextSequence(): bigint;
  readonly unacknowledged: number;
}

/** Beyond it the oldest events are dropped. */
const eventsMax = 200;
/** How long events wait for company, and for what is more urgent. */
const gatherMs = 50;
const gatherMax = 100;
/** Beyond it the oldest acknowledged reports are forgotten. */
const keptMax = 5000;

type Content = AgentMessage["message"];

interface Entry {
  readonly slot: string;
  readonly sequence: bigint;
  readonly content: Content;
  sentMs: number | undefined;
  acknowledged: boolean;
}

/** `onReport` is called after each report, so that the session sends. */
export function openOutbox(clock: Clock, onReport: () => void): Outbox {
  const entries = new Map<string, Entry>();
  const bySequence = new Map<bigint, Entry>();
  // Slots that wait to be sent, oldest first.
  const waiting = new Set<string>();
  /** Those of pods that are gone: the server takes no event about one any more. */
  const leaving = new Set<string>();
  const events: Entry["content"][] = [];
  let eventTimer: Timer | undefined;
  let eventsDue = false;
  let hurried = false;
  let sequence = 0n;

  const put = (slot: string, content: Content) => {
    const old = entries.get(slot);
    if (old !== undefined) bySequence.delete(old.sequence);
    const entry: Entry = { slot, sequence: ++sequence, content, sentMs: undefined, acknowledged: false };
    entries.delete(slot);
    entries.set(slot, entry);
    if (entries.size > keptMax) forgetOldest();
    bySequence.set(entry.sequence, entry);
    queueOf(slot).add(slot);
    onReport();
  };

  const queueOf = (slot: string) => (slot.startsWith("gone/") ? leaving : waiting);

  const sendEvents = () => {
    eventTimer?.cancel();
    eventTimer = undefined;
    eventsDue = true;
    onReport();
  };

  const nextSlot = (queue: Set<string>, nowMs: number): AgentMessage | undefined => {
    for (const slot of queue) {
      queue.delete(slot);
      const entry = entries.get(slot);
      if (entry === undefined) continue;
      entry.sentMs = nowMs;
      return create(AgentMessageSchema, { message: entry.content, sequence: entry.sequence });
    }
    return undefined;
  };

  const nextEvent = (): AgentMessage | undefined => {
    if (!eventsDue && leaving.size === 0) return undefined;
    const message = events.shift();
    if (events.length === 0) eventsDue = false;
    return message === undefined ? undefined : create(AgentMessageSchema, { message });
  };

  const forgetOldest = () => {
    for (const entry of entries.values()) {
      if (!entry.acknowledged) continue;
      entries.delete(entry.slot);
      return;
    }
  };

  return {
    podStatus: (pod, status) => put(`status/${pod.uid}`, statusContent(pod, encode(status))),
    podGone: (pod) => {
      put(`gone/${pod.uid}`, {
        case: "podGone",
        value: create(PodGoneSchema, { namespace: pod.namespace, name: pod.name, uid: pod.uid }),
      });
    },
    nodeStatus: (status) =>
      put("node", { case: "nodeStatus", value: create(NodeStatusReportSchema, { status: encode(status) }) }),
    event: (event) => {
      events.push({ case: "event", value: create(EventReportSchema, { event: encode(event) }) });
      if (events.length > eventsMax) events.shift();
      if (hurried || events.length >= gatherMax) sendEvents();
      else eventTimer ??= clock.after(gatherMs, sendEvents);
    },
    mirrorPods: (pods) =>
      put("mirrors", { case: "mirrorPods", value: create(MirrorPodsSchema, { pods: pods.map(encode) }) }),
    next: (nowMs) => nextSlot(waiting, nowMs) ?? nextEvent() ?? nextSlot(leaving, nowMs),
    acknowledged: (acknowledgedSequence) => {
      const entry = bySequence.get(acknowledgedSequence);
      if (entry === undefined) return; // superseded, or told twice
      bySequence.delete(acknowledgedSequence);
      queueOf(entry.slot).delete(entry.slot);
      entry.acknowledged = true;
      if (!entry.slot.startsWith("gone/")) return;
      entries.delete(entry.slot);
      const status = `status/${entry.slot.slice("gone/".length)}`;
      bySequence.delete(entries.get(status)?.sequence ?? 0n);
      entries.delete(status);
    },
    resend: (sentBeforeMs) => {
      let found = false;
      for (const entry of entries.values()) {
        if (entry.acknowledged || entry.sentMs === undefined || entry.sentMs >= sentBeforeMs) continue;
        entry.sentMs = undefined;
        queueOf(entry.slot).add(entry.slot);
        found = true;
      }
      return found;
    },
    resendAll: () => {
      for (const [slot, { content }] of [...entries]) {
        // A new number, so that an answer to the old one settles nothing.
        bySequence.delete(entries.get(slot)?.sequence ?? 0n);
        const entry: Entry = { slot, sequence: ++sequence, content, sentMs: undefined, acknowledged: false };
        entries.set(slot, entry);
        bySequence.set(entry.sequence, entry);
        queueOf(slot).add(slot);
      }
    },
    hurry: () => {
      hurried = true;
      sendEvents();
    },
    nextSequence: () => ++sequence,
    get unacknowledged() {
      return bySequence.size;
    },
  };
}

function statusContent(pod: PodName, status: Uint8Array): Content {
  return {
    case: "podStatus",
    value: create(PodStatusReportSchema, { namespace: pod.namespace, name: pod.name, uid: pod.uid, status }),
  };
}

function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}
