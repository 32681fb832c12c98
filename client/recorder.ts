// Writes Events: what a component did or could not do, where `kubectl describe` shows it. Never in the way: bounded and best effort.

import { events } from "../api/kinds/generated/resources.ts";
import type { Event as KubeEvent, ObjectReference } from "../api/kinds/generated/types.ts";
import { apiVersionOf, type KubeObject, type Resource } from "../api/kinds/resource.ts";
import { type Clock, timestamp } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { nameSuffix, type Random } from "../lib/random.ts";
import type { Client } from "./client.ts";

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

const inFlightMax = 4;
const waitingMax = 1000;
const rememberedMax = 4096;

export function createRecorder(options: {
  readonly client: Client;
  readonly component: string;
  readonly host?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}): Recorder {
  const { client, component, clock, random, log } = options;
  const remembered = new Map<string, KubeEvent>();
  const waiting = new Map<string, KubeEvent>();
  const inFlight = new Set<Promise<void>>();

  const pump = () => {
    for (const [key, event] of waiting) {
      if (inFlight.size >= inFlightMax) return;
      waiting.delete(key);
      const writing: Promise<void> = write(key, event).finally(() => {
        inFlight.delete(writing);
        pump();
      });
      inFlight.add(writing);
    }
  };
  const write = async (key: string, event: KubeEvent): Promise<void> => {
    try {
      const repeated = (event.count ?? 1) > 1;
      const { namespace = "default", name = "" } = event.metadata;
      if (repeated) {
        const body = { count: event.count, lastTimestamp: event.lastTimestamp };
        await client.patch(events, { namespace, name }, { type: "merge", body });
      } else await client.create(events, event);
    } catch (error) {
      remembered.delete(key);
      log.debug({ error, reason: event.reason }, "event not written");
    }
  };

  return {
    record: ({ resource, object }, type, reason, message) => {
      const involved = referenceTo(resource, object);
      const key = `${involved.uid} ${involved.fieldPath} ${type} ${reason} ${message}`;
      const now = timestamp(clock.now());
      const known = remembered.get(key);
      const namespace = involved.namespace ?? "default";
      const event: KubeEvent =
        known === undefined
          ? {
              apiVersion: "v1",
              kind: "Event",
              metadata: { namespace, name: `${involved.name}.${nameSuffix(random, 16)}` },
              involvedObject: involved,
              type,
              reason,
              message: message.slice(0, 1024),
              count: 1,
              firstTimestamp: now,
              lastTimestamp: now,
              source: { component, ...(options.host === undefined ? {} : { host: options.host }) },
              reportingComponent: component,
              reportingInstance: options.host ?? "",
            }
          : { ...known, count: (known.count ?? 1) + 1, lastTimestamp: now };
      remembered.delete(key);
      remembered.set(key, event);
      if (remembered.size > rememberedMax) remembered.delete(remembered.keys().next().value ?? "");
      // A first Event that is still waiting is replaced by one that counts both.
      if (waiting.has(key))
        waiting.set(key, { ...event, count: waiting.get(key)?.count === 1 ? 1 : (event.count ?? 1) });
      else if (waiting.size < waitingMax) waiting.set(key, event);
      pump();
    },
    [Symbol.asyncDispose]: async () => {
      while (inFlight.size > 0) await Promise.allSettled([...inFlight]);
    },
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
