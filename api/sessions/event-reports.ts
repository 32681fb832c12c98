// Events of agents, on their way into the API: about their own node and its pods only, so many per second, repeats counted.
import type { Client } from "../../client/client.ts";
import { openEventNames } from "../../client/event-names.ts";
import type { Clock } from "../../lib/clock.ts";
import { timestamp } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { events } from "../kinds/generated/resources.ts";
import type { Event, Pod } from "../kinds/generated/types.ts";

export interface EventReports {
  report(node: string, event: Event): void;
  /** The node's session ended: forget how much it may send. */
  forget(node: string): void;
  readonly dropped: number;
}

export interface EventReportsParts {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The pod as last seen, when it is bound to a node. */
  readonly findPod: (key: string) => Pod | undefined;
  readonly nodeUid: (node: string) => string | undefined;
}

/** Per node. */
const burstMax = 50;
const perSecond = 10;
const repeatsMax = 100;
const messageLengthMax = 1024;

interface Budget {
  tokens: number;
  /** Monotonic: the time of day may jump back. */
  atMs: number;
  /** By what makes two events the same: the one in the API and its count. */
  readonly known: Map<string, Promise<Event | undefined>>;
}

export function openEventReports(parts: EventReportsParts): EventReports {
  const { client, clock, log } = parts;
  const nameOf = openEventNames(parts);
  const budgets = new Map<string, Budget>();
  let dropped = 0;

  const write = async (budget: Budget, key: string, event: Event): Promise<Event | undefined> => {
    const before = await budget.known.get(key);
    if (before?.metadata?.name === undefined) return await client.create(events, event);
    const repeat = { count: (before.count ?? 1) + 1, lastTimestamp: event.lastTimestamp };
    const { namespace = "", name } = before.metadata;
    return await client.patch(events, { namespace, name }, { type: "merge", body: repeat }).catch(() => {
      return client.create(events, event); // it has expired
    });
  };

  return {
    report: (node, reported) => {
      const nowMs = clock.monotonicMs();
      const event = ownEvent(node, reported, parts, clock.now());
      let budget = budgets.get(node);
      if (budget === undefined) {
        budget = { tokens: burstMax, atMs: nowMs, known: new Map() };
        budgets.set(node, budget);
      }
      budget.tokens = Math.min(burstMax, budget.tokens + ((nowMs - budget.atMs) / 1000) * perSecond);
      budget.atMs = nowMs;
      if (event === undefined || budget.tokens < 1) {
        dropped++;
        return;
      }
      budget.tokens--;
      const { involvedObject, type, reason, message } = event;
      const key = JSON.stringify([involvedObject.uid, involvedObject.fieldPath, type, reason, message]);
      const written = write(budget, key, {
        ...event,
        metadata: { ...event.metadata, name: nameOf(involvedObject.name ?? "") },
      }).catch((error) => {
        log.warn({ node, error: String(error) }, "event not written");
        return undefined;
      });
      budget.known.delete(key);
      budget.known.set(key, written);
      if (budget.known.size > repeatsMax) budget.known.delete(budget.known.keys().next().value ?? "");
    },
    forget: (node) => {
      budgets.delete(node);
    },
    get dropped() {
      return dropped;
    },
  };
}

// Only what an agent may say, about what is its own; undefined when it is about something else.
function ownEvent(node: string, event: Event, parts: EventReportsParts, nowMs: number): Event | undefined {
  const subject = event.involvedObject;
  const source = { component: "naru-agent", host: node };
  const now = timestamp(nowMs);
  const said = {
    apiVersion: "v1",
    kind: "Event",
    type: event.type === "Warning" ? "Warning" : "Normal",
    reason: String(event.reason ?? "").slice(0, 128),
    message: String(event.message ?? "").slice(0, messageLengthMax),
    source,
    reportingComponent: source.component,
    reportingInstance: node,
    firstTimestamp: event.firstTimestamp ?? now,
    lastTimestamp: event.lastTimestamp ?? now,
    count: 1,
  };
  if (subject?.kind === "Node" && subject.name === node) {
    const uid = parts.nodeUid(node) ?? node;
    return {
      ...said,
      metadata: { namespace: "default" },
      involvedObject: { apiVersion: "v1", kind: "Node", name: node, uid },
    };
  }
  if (subject?.kind !== "Pod") return undefined;
  const { namespace = "", name = "" } = subject;
  const pod = parts.findPod(`${namespace}/${name}`);
  if (pod?.spec?.nodeName !== node || pod.metadata?.uid !== subject.uid) return undefined;
  const { uid = "", resourceVersion = "" } = pod.metadata ?? {};
  const { fieldPath } = subject;
  return {
    ...said,
    metadata: { namespace },
    involvedObject: {
      apiVersion: "v1",
      kind: "Pod",
      namespace,
      name,
      uid,
      resourceVersion,
      ...(typeof fieldPath === "string" ? { fieldPath: fieldPath.slice(0, 256) } : {}),
    },
  };
}
