// Writes Events: what a component did or could not do, where `kubectl describe` shows it. Never in the way: bounded and best effort.
import { events } from "../api/kinds/generated/resources.ts";
import type { Event as KubeEvent, ObjectReference } from "../api/kinds/generated/types.ts";
import { apiVersionOf, type KubeObject, type Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import { type Clock, timestamp } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Client } from "./client.ts";
import { openEventNames } from "./event-names.ts";

export interface Recorder {
  /** Same object, reason and message again: the count of the first Event grows instead. */
  record(
    about: { readonly resource: Resource; readonly object: KubeObject },
    type: "Normal" | "Warning",
    reason: string,
    message: string,
  ): void;
  /** Waits for what is on its way. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RecorderOptions {
  readonly client: Client;
  readonly component: string;
  readonly host?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const inFlightMax = 4;
const waitingMax = 1000;
const rememberedMax = 4096;
const messageCharsMax = 1024;
/** An object may have so many Events written at once, and one more per interval; what is beyond is counted, not written. */
const burstMax = 25;
const refillMs = 10_000;

/** One Event and what the API does not know of it yet. */
interface Entry {
  event: KubeEvent;
  stored: boolean;
  writing: boolean;
}

export function createRecorder(options: RecorderOptions): Recorder {
  const { client, clock, log } = options;
  const nameOf = openEventNames(options);
  const entries = new Map<string, Entry>();
  const waiting = new Map<string, Entry>();
  const budgets = new Map<string, { tokens: number; atMs: number }>();
  const inFlight = new Set<Promise<void>>();

  const pump = () => {
    for (const [key, entry] of waiting) {
      if (inFlight.size >= inFlightMax) return;
      if (entry.writing) continue;
      waiting.delete(key);
      entry.writing = true;
      const writing: Promise<void> = write(key, entry).finally(() => {
        entry.writing = false;
        inFlight.delete(writing);
        pump();
      });
      inFlight.add(writing);
    }
  };
  const write = async (key: string, entry: Entry): Promise<void> => {
    const { event } = entry;
    try {
      if (!entry.stored) {
        await client.create(events, event);
        entry.stored = true;
        return;
      }
      const { namespace = "default", name = "" } = event.metadata;
      const body = { count: event.count, lastTimestamp: event.lastTimestamp };
      await client.patch(events, { namespace, name }, { type: "merge", body });
    } catch (error) {
      // Its Event has expired, or could not be written: the next time it begins anew.
      if (entries.get(key) === entry) entries.delete(key);
      if (!isReason(error, "NotFound")) log.debug({ error, reason: event.reason }, "event not written");
    }
  };

  const spend = (object: string): boolean => {
    const nowMs = clock.monotonicMs();
    const { tokens, atMs } = budgets.get(object) ?? { tokens: burstMax, atMs: nowMs };
    const refilled = Math.min(burstMax, tokens + (nowMs - atMs) / refillMs);
    budgets.delete(object);
    budgets.set(object, { tokens: refilled >= 1 ? refilled - 1 : refilled, atMs: nowMs });
    if (budgets.size > rememberedMax) budgets.delete(budgets.keys().next().value ?? "");
    return refilled >= 1;
  };

  return {
    record: ({ resource, object }, type, reason, message) => {
      const involved = referenceTo(resource, object);
      const text = message.slice(0, messageCharsMax);
      const key = `${involved.kind} ${involved.namespace}/${involved.name} ${involved.uid} ${type} ${reason} ${text}`;
      const known = entries.get(key);
      const lastTimestamp = timestamp(clock.now());
      const entry = known ?? {
        event: firstEvent(options, involved, { type, reason, text, name: nameOf(involved.name ?? "") }),
        stored: false,
        writing: false,
      };
      if (known !== undefined) known.event = { ...known.event, count: (known.event.count ?? 1) + 1, lastTimestamp };
      // Behind all others, so that the one that is forgotten is the one that happened longest ago.
      entries.delete(key);
      entries.set(key, entry);
      if (entries.size > rememberedMax) entries.delete(entries.keys().next().value ?? "");
      if (!waiting.has(key)) {
        if (waiting.size >= waitingMax || !spend(`${involved.kind} ${involved.namespace}/${involved.name}`)) return;
        waiting.set(key, entry);
      }
      pump();
    },
    [Symbol.asyncDispose]: async () => {
      while (inFlight.size > 0) await Promise.allSettled([...inFlight]);
    },
  };
}

function firstEvent(
  { component, host, clock }: RecorderOptions,
  involved: ObjectReference,
  { type, reason, text, name }: Readonly<Record<"type" | "reason" | "text" | "name", string>>,
): KubeEvent {
  const now = timestamp(clock.now());
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { namespace: involved.namespace ?? "default", name },
    involvedObject: involved,
    type,
    reason,
    message: text,
    count: 1,
    firstTimestamp: now,
    lastTimestamp: now,
    source: { component, ...(host === undefined ? {} : { host }) },
    reportingComponent: component,
    reportingInstance: host ?? "",
  };
}

function referenceTo(resource: Resource, object: KubeObject): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata ?? {};
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
