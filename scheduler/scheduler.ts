// The scheduling loop: pods without a node come in, decisions are made one after another over the snapshot, binds go out in batches.

import {
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  runtimeclasses,
  storageclasses,
} from "../api/kinds/generated/resources.ts";
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  RuntimeClass,
  StorageClass,
} from "../api/kinds/generated/types.ts";
import { hasEnded } from "../api/kinds/pod-phase.ts";
import { isReason } from "../api/kinds/status.ts";
import type { Bind, Client } from "../client/client.ts";
import { startInformer } from "../client/informer.ts";
import type { Recorder } from "../client/recorder.ts";
import { type Clock, timestamp } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { SchedulerMetrics } from "./metrics.ts";
import { createPending } from "./pending.ts";
import type { Profile } from "./plugin.ts";
import { type PodRequirements, requirementsOf, withRuntimeHandler, withVolumeTerms } from "./requirements.ts";
import { type Decision, schedule } from "./schedule.ts";
import { createSnapshot, putNode, putPod, removeNode, removePod } from "./snapshot.ts";
import { claimKeysOf, type VolumeLookup, volumeDemandOf } from "./volume-demand.ts";

export interface SchedulerOptions {
  readonly client: Client;
  readonly profile: Profile;
  /** Pods that name another scheduler are left alone. */
  readonly schedulerName: string;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics?: SchedulerMetrics;
}

export interface Scheduler {
  readonly whenSynced: Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

// A batch is small enough that the first pods of many are bound soon, and large enough to share a disk write.
const batchPodsMax = 256;
const batchesInFlightMax = 4;

interface Choice {
  readonly pod: Pod;
  readonly requirements: PodRequirements;
  readonly bind: Bind;
}

export function startScheduler(options: SchedulerOptions): Scheduler {
  const { client, profile, recorder, clock, random, log, metrics } = options;
  const snapshot = createSnapshot();
  /** Demands of pods that wait, by key. */
  const waiting = new Map<string, { readonly pod: Pod; readonly requirements: PodRequirements }>();
  /** Counted on a node before the API's word of it came back; the uid tells a new pod of the same name apart. */
  const assumed = new Map<string, string>();
  const inFlight = new Set<Promise<void>>();
  let turn = 0;
  let passAsked = false;
  let stopped = false;

  const askPass = () => {
    if (passAsked || stopped) return;
    passAsked = true;
    // In a turn of its own: all pods of one turn are decided together.
    clock.after(0, () => {
      passAsked = false;
      pass();
    });
  };
  const pending = createPending({ clock, random, onReady: askPass });
  const informerOptions = { client, clock, random, log };
  const nodeInformer = startInformer<Node>({ ...informerOptions, resource: nodes });
  const podInformer = startInformer<Pod>({ ...informerOptions, resource: pods });
  const claimInformer = startInformer<PersistentVolumeClaim>({ ...informerOptions, resource: persistentvolumeclaims });
  const volumeInformer = startInformer<PersistentVolume>({ ...informerOptions, resource: persistentvolumes });
  const classInformer = startInformer<RuntimeClass>({ ...informerOptions, resource: runtimeclasses });
  const storageInformer = startInformer<StorageClass>({ ...informerOptions, resource: storageclasses });
  const informers = [nodeInformer, podInformer, claimInformer, volumeInformer, classInformer, storageInformer];
  classInformer.onChange(() => pending.wake());
  claimInformer.onChange(() => pending.wake());
  volumeInformer.onChange(() => pending.wake());
  storageInformer.onChange(() => pending.wake());
  /** Claim -> pod -> its node, of placed pods that use claims. */
  const claimUsers = new Map<string, Map<string, string>>();
  const volumes: VolumeLookup = {
    claim: (key) => claimInformer.get(key),
    volume: (name) => volumeInformer.get(name),
    storageClass: (name) => storageInformer.get(name),
    nodesUsing: (key) => claimUsers.get(key)?.values() ?? [],
  };
  const noteUser = (pod: Pod, key: string, node: string | undefined) => {
    for (const claim of claimKeysOf(pod)) {
      const users = claimUsers.get(claim) ?? new Map<string, string>();
      if (node === undefined) users.delete(key);
      else users.set(key, node);
      if (users.size === 0) claimUsers.delete(claim);
      else claimUsers.set(claim, users);
    }
  };

  nodeInformer.onChange((key, node) => {
    if (node === undefined) removeNode(snapshot, key);
    else if (!putNode(snapshot, node)) return;
    pending.wake();
  });

  podInformer.onChange((key, pod, previous) => {
    if (previous !== undefined && pod?.metadata?.uid !== previous.metadata?.uid) forget(key);
    if (pod === undefined || hasEnded(pod)) {
      const gone = pod ?? previous;
      if (gone !== undefined) noteUser(gone, key, undefined);
      forget(key);
      return;
    }
    const nodeName = pod.spec?.nodeName;
    if (nodeName !== undefined && nodeName !== "") {
      waiting.delete(key);
      assumed.delete(key);
      noteUser(pod, key, nodeName);
      pending.done(key);
      // What a placed pod asks does not change: count it once.
      if (snapshot.placed.has(key) && previous?.spec?.nodeName === nodeName) return;
      putPod(snapshot, requirementsOf(pod), nodeName);
      return;
    }
    if (pod.metadata?.deletionTimestamp !== undefined) {
      forget(key);
      return;
    }
    if (pod.spec?.schedulerName !== options.schedulerName) return;
    if ((pod.spec.schedulingGates ?? []).length > 0 || assumed.get(key) === pod.metadata?.uid) return;
    // Our own note that it does not fit is no reason to try again.
    const known = waiting.get(key);
    waiting.set(key, { pod, requirements: known?.requirements ?? requirementsOf(pod) });
    if (known === undefined) pending.add({ key, priority: pod.spec.priority ?? 0 });
  });

  const forget = (key: string) => {
    waiting.delete(key);
    assumed.delete(key);
    pending.remove(key);
    if (removePod(snapshot, key)) pending.wake();
  };

  const pass = () => {
    // Before everything is known, nodes look emptier than they are.
    if (stopped || informers.some(({ synced }) => !synced)) return;
    while (inFlight.size < batchesInFlightMax) {
      const keys = pending.take(batchPodsMax);
      if (keys.length === 0) break;
      const choices = keys.map(decide).filter((choice) => choice !== undefined);
      if (choices.length > 0) send(choices);
    }
    metrics?.pending(pending.sizes);
  };

  const decide = (key: string): Choice | undefined => {
    const wanted = waiting.get(key);
    if (wanted === undefined) {
      pending.done(key);
      return undefined;
    }
    const { pod, requirements } = wanted;
    const startMs = clock.monotonicMs();
    const decision = place(pod, requirements);
    metrics?.decided(decision.type, (clock.monotonicMs() - startMs) / 1000);
    if (decision.type === "unschedulable") {
      pending.setAside(key);
      noteUnschedulable(pod, decision.message);
      return undefined;
    }
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    putPod(snapshot, requirements, decision.node);
    assumed.set(key, uid);
    noteUser(pod, key, decision.node);
    return { pod, requirements, bind: { namespace, name, uid, node: decision.node } };
  };

  const place = (pod: Pod, requirements: PodRequirements): Decision => {
    const demand = volumeDemandOf(claimKeysOf(pod), volumes);
    if (demand.type === "wait") return { type: "unschedulable", message: demand.message };
    const className = pod.spec?.runtimeClassName ?? "";
    const runtimeClass = className === "" ? undefined : classInformer.get(className);
    if (className !== "" && runtimeClass === undefined)
      return { type: "unschedulable", message: `runtimeclass.node.k8s.io "${className}" not found` };
    const wanted = withRuntimeHandler(withVolumeTerms(requirements, demand.terms), runtimeClass?.handler);
    return schedule(wanted, snapshot, profile, turn++);
  };

  const send = (choices: readonly Choice[]) => {
    const sending: Promise<void> = sendBatch(choices).finally(() => {
      inFlight.delete(sending);
      askPass();
    });
    inFlight.add(sending);
  };

  const sendBatch = async (choices: readonly Choice[]): Promise<void> => {
    const outcomes = await client
      .bind(choices.map(({ bind }) => bind))
      .catch((error: Error) => choices.map(() => error));
    choices.forEach(({ pod, requirements, bind }, i) => {
      const error = outcomes[i];
      if (error === undefined) {
        pending.done(requirements.key);
        waiting.delete(requirements.key);
        recorder.record(
          { resource: pods, object: pod },
          "Normal",
          "Scheduled",
          `Successfully assigned ${requirements.key} to ${bind.node}`,
        );
        return;
      }
      if (assumed.delete(requirements.key)) {
        removePod(snapshot, requirements.key);
        noteUser(pod, requirements.key, undefined);
      }
      const { key } = requirements;
      // Gone, bound or being deleted meanwhile: what the informer has may be older, so that it is not asked again at once.
      const present = podInformer.get(key);
      if (present !== undefined && present.metadata?.uid === bind.uid && waitsForNode(present)) {
        waiting.set(key, { pod: present, requirements });
        pending.retry(key);
      } else {
        waiting.delete(key);
        pending.done(key);
      }
      if (!isReason(error, "NotFound", "Conflict"))
        log.warn({ pod: key, node: bind.node, error }, "bind failed, will try again");
    });
  };

  const noteUnschedulable = (pod: Pod, message: string) => {
    const condition = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
    if (condition?.message === message) return;
    recorder.record({ resource: pods, object: pod }, "Warning", "FailedScheduling", message);
    const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
    const body = {
      metadata: { uid },
      status: {
        conditions: [
          {
            type: "PodScheduled",
            status: "False",
            reason: "Unschedulable",
            message,
            lastTransitionTime: condition?.lastTransitionTime ?? timestamp(clock.now()),
          },
        ],
      },
    };
    client
      .patch(pods, { namespace, name }, { type: "strategic", subresource: "status", body })
      .catch((error: unknown) => log.debug({ pod: `${namespace}/${name}`, error }, "condition not written"));
  };

  const whenSynced = Promise.all(informers.map((informer) => informer.whenSynced)).then(askPass);
  return {
    whenSynced,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      pending.close();
      await Promise.all(informers.map((informer) => informer[Symbol.asyncDispose]()));
      await Promise.allSettled([...inFlight]);
    },
  };
}

function waitsForNode({ metadata, spec }: Pod): boolean {
  return (spec?.nodeName ?? "") === "" && metadata?.deletionTimestamp === undefined;
}
