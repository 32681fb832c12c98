// Pod reports of agents, on their way into the API: the latest per pod, refused unless the pod is bound to the node that reports it.

import { isDeepStrictEqual } from "node:util";
import type { Client } from "../../client/client.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { pods } from "../kinds/generated/resources.ts";
import type { Pod, PodStatus } from "../kinds/generated/types.ts";
import { hasEnded } from "../kinds/pod-phase.ts";
import { isReason } from "../kinds/status.ts";
import { openKeyedWork } from "./keyed-work.ts";

export interface PodReport {
  readonly node: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Undefined: nothing of the pod is left. */
  readonly status: PodStatus | undefined;
  /** Called once it is durable, refused for good, or superseded by one that is. */
  readonly done: () => void;
}

export interface PodReports {
  report(report: PodReport): void;
  readonly size: number;
  close(): void;
}

export interface PodReportsParts {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The pod as last seen, when it is bound to a node. */
  readonly find: (key: string) => Pod | undefined;
  readonly concurrency?: number;
}

interface Pending {
  readonly key: string;
  status: PodReport | undefined;
  gone: PodReport | undefined;
}

const conflictsMax = 5;

export function openPodReports(parts: PodReportsParts): PodReports {
  const { client, clock, random, log, find } = parts;
  const pending = new Map<string, Pending>();
  const closing = new AbortController();

  const work = openKeyedWork({
    clock,
    random,
    concurrency: parts.concurrency ?? 64,
    onError: (uid, error) => log.warn({ uid, error: String(error) }, "pod report not written yet"),
    run: async (uid) => {
      const entry = pending.get(uid);
      if (entry === undefined) return;
      const { status, gone } = entry;
      if (status !== undefined) {
        // A pod that goes needs its last status only when a finalizer waits for it.
        if (gone === undefined || (find(entry.key)?.metadata?.finalizers ?? []).length > 0) await writeStatus(status);
        if (entry.status === status) entry.status = undefined;
        status.done();
      }
      if (gone !== undefined) {
        await remove(gone);
        entry.gone = undefined;
        gone.done();
      }
      if (entry.status === undefined && entry.gone === undefined) pending.delete(uid);
    },
  });

  const writeStatus = async (report: PodReport) => {
    let pod = find(`${report.namespace}/${report.name}`);
    for (let conflicts = 0; conflicts < conflictsMax; conflicts++) {
      if (!isOf(report, pod)) return;
      // What has ended stays so: an agent that looks at it again while it goes knows less.
      if (hasEnded(pod) && !hasEnded(report)) return;
      const status = mergeStatus(pod.status, report.status ?? {});
      if (isDeepStrictEqual(status, pod.status)) return;
      try {
        await client.updateStatus(pods, { ...pod, status }, closing.signal);
        return;
      } catch (error) {
        if (isReason(error, "NotFound")) return;
        if (isReason(error, "Invalid", "BadRequest")) {
          log.warn({ pod: report.name, node: report.node, error: String(error) }, "refused a pod status");
          return;
        }
        if (!isReason(error, "Conflict")) throw error;
        pod = await client.get(pods, report, closing.signal).catch(absent);
      }
    }
    throw new Error(`pod changed ${conflictsMax} times while its status was written`);
  };

  const remove = async ({ node, namespace, name, uid }: PodReport) => {
    const pod = find(`${namespace}/${name}`);
    if (!isOf({ node, uid }, pod)) return;
    if ((pod.metadata?.finalizers ?? []).length > 0) await noteEnd({ namespace, name, uid, node });
    await client
      .delete(pods, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } }, closing.signal)
      .catch((error) => {
        // Conflict: a pod of another uid has its name by now.
        if (!isReason(error, "NotFound", "Conflict")) throw error;
      });
  };

  // A pod that somebody holds stays as an object after its containers are gone: it says that they are.
  const noteEnd = async ({ namespace, name, uid, node }: Pick<PodReport, "namespace" | "name" | "uid" | "node">) => {
    const pod = await client.get(pods, { namespace, name }, closing.signal).catch(absent);
    if (!isOf({ node, uid }, pod) || hasEnded(pod)) return;
    await client.updateStatus(pods, { ...pod, status: ended(pod.status ?? {}) }, closing.signal);
  };

  return {
    report: (report) => {
      const key = `${report.namespace}/${report.name}`;
      if (!isOf(report, find(key))) {
        report.done();
        return;
      }
      const entry = pending.get(report.uid) ?? { key, status: undefined, gone: undefined };
      pending.set(report.uid, entry);
      if (report.status === undefined) {
        entry.gone = superseding(entry.gone, report);
      } else entry.status = superseding(entry.status, report);
      work.add(report.uid);
    },
    get size() {
      return pending.size;
    },
    close: () => {
      closing.abort(new Error("the server stops"));
      work.close();
    },
  };
}

// What came before is done when this is, not earlier: often it is the same report, sent again because nobody acknowledged it.
function superseding(before: PodReport | undefined, report: PodReport): PodReport {
  if (before === undefined) return report;
  const done = () => {
    before.done();
    report.done();
  };
  return { ...report, done };
}

function isOf({ node, uid }: Pick<PodReport, "node" | "uid">, pod: Pod | undefined): pod is Pod {
  return pod !== undefined && pod.metadata?.uid === uid && pod.spec?.nodeName === node;
}

/** The agent owns the status but for conditions that others set (PodScheduled, DisruptionTarget, readiness gates) and their fields. */
function mergeStatus(present: PodStatus | undefined, reported: PodStatus): PodStatus {
  const kept = (present?.conditions ?? []).filter(
    ({ type }) => !reported.conditions?.some((condition) => condition.type === type) && !ownConditions.has(type),
  );
  const { nominatedNodeName, resourceClaimStatuses, qosClass } = present ?? {};
  return {
    ...(nominatedNodeName === undefined ? {} : { nominatedNodeName }),
    ...(resourceClaimStatuses === undefined ? {} : { resourceClaimStatuses }),
    ...(qosClass === undefined ? {} : { qosClass }),
    ...reported,
    conditions: [...kept, ...(reported.conditions ?? [])],
  };
}

/** Succeeded when all of its containers have ended well, as a pod does that ends by itself. */
function ended(status: PodStatus): PodStatus {
  const { containerStatuses = [] } = status;
  const isWell =
    containerStatuses.length > 0 && containerStatuses.every(({ state }) => state?.terminated?.exitCode === 0);
  const outcome = { status: "False", reason: isWell ? "PodCompleted" : "PodFailed" };
  return {
    ...status,
    phase: isWell ? "Succeeded" : "Failed",
    conditions: (status.conditions ?? []).map((condition) =>
      condition.type === "Ready" || condition.type === "ContainersReady" ? { ...condition, ...outcome } : condition,
    ),
  };
}

const ownConditions: ReadonlySet<string> = new Set([
  "Initialized",
  "ContainersReady",
  "Ready",
  "PodReadyToStartContainers",
]);

function absent(error: unknown): undefined {
  if (!isReason(error, "NotFound")) throw error;
}
