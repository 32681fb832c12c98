// Follows a Deployment or a DaemonSet until its rollout is complete, in kubectl's words.

import { conditionOf } from "../api/kinds/conditions.ts";
import { daemonsets, deployments } from "../api/kinds/generated/resources.ts";
import type { DaemonSet, Deployment, LabelSelector } from "../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";
import { UsageError } from "./command.ts";
import type { Connection } from "./connection.ts";
import { silentProgress, startProgress } from "./progress.ts";
import { pathOf } from "./resources.ts";
import { tellWhy } from "./rollout-why.ts";
import { watchObjects } from "./watch.ts";

interface Rollout<T extends KubeObject> {
  readonly resource: Resource<T>;
  /** What messages call it. */
  readonly words: string;
  /** What is still awaited; undefined when the rollout is complete. Throws when it cannot complete. */
  readonly stateOf: (object: T) => string | undefined;
}

const rollouts: readonly Rollout<KubeObject>[] = [
  erase({ resource: deployments, words: "deployment", stateOf: rolloutState }),
  erase({ resource: daemonsets, words: "daemon set", stateOf: daemonRolloutState }),
];

/** Kinds whose rollouts can be followed. */
export function hasRollout({ kind }: Resource): boolean {
  return rollouts.some(({ resource }) => resource.kind === kind);
}

export function rolloutState(deployment: Deployment): string | undefined {
  const { metadata, spec, status = {} } = deployment;
  const wanted = spec?.replicas ?? 1;
  const name = `deployment "${metadata?.name}"`;
  if ((metadata?.generation ?? 0) > (status.observedGeneration ?? 0))
    return "Waiting for deployment spec update to be observed...";
  if (conditionOf(status.conditions, "Progressing")?.reason === "ProgressDeadlineExceeded")
    throw new Error(
      `${name} exceeded its progress deadline: \`naru describe deployment ${metadata?.name}\` and \`naru get pods\` tell why`,
    );
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0 } = status;
  if (updatedReplicas < wanted)
    return `Waiting for ${name} rollout to finish: ${updatedReplicas} out of ${wanted} new replicas have been updated...`;
  if (replicas > updatedReplicas)
    return `Waiting for ${name} rollout to finish: ${replicas - updatedReplicas} old replicas are pending termination...`;
  if (availableReplicas < updatedReplicas)
    return `Waiting for ${name} rollout to finish: ${availableReplicas} of ${updatedReplicas} updated replicas are available...`;
  return undefined;
}

export function daemonRolloutState({ metadata, spec, status }: DaemonSet): string | undefined {
  if (spec?.updateStrategy?.type === "OnDelete")
    throw new Error(
      `daemon set "${metadata?.name}" replaces pods when they are deleted (OnDelete): there is no rollout to follow`,
    );
  const wait = `Waiting for daemon set "${metadata?.name}" rollout to finish:`;
  if ((metadata?.generation ?? 0) > (status?.observedGeneration ?? 0))
    return "Waiting for daemon set spec update to be observed...";
  const { updatedNumberScheduled = 0, desiredNumberScheduled = 0, numberAvailable = 0 } = status ?? {};
  if (updatedNumberScheduled < desiredNumberScheduled)
    return `${wait} ${updatedNumberScheduled} out of ${desiredNumberScheduled} new pods have been updated...`;
  if (numberAvailable < desiredNumberScheduled)
    return `${wait} ${numberAvailable} of ${desiredNumberScheduled} updated pods are available...`;
  return undefined;
}

export async function waitForRollout(
  connection: Connection,
  {
    name,
    namespace,
    resource = deployments,
  }: { readonly name: string; readonly namespace: string; readonly resource?: Resource },
  {
    signal,
    timeoutMs,
    quiet = false,
  }: { readonly signal: AbortSignal; readonly timeoutMs: number; readonly quiet?: boolean },
): Promise<void> {
  const rollout = rollouts.find((one) => one.resource.kind === resource.kind);
  if (rollout === undefined) throw new UsageError(`${resource.kind} ${name} has no rollout to follow`);
  const title = `${rollout.words} "${name}"`;
  const [progress, because] = quiet ? [silentProgress, silentProgress] : [startProgress(), startProgress()];
  const end = new AbortController();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs), end.signal]);
  let reason = "";
  const tell = (now: string) => {
    reason = now;
    if (now === "") because.clear();
    else because.update(now);
  };
  let looking: Promise<void> | undefined;
  const selection = { fieldSelector: `metadata.name=${name}` };
  try {
    for await (const { type, object } of watchObjects<KubeObject>(
      connection,
      pathOf(resource, namespace),
      selection,
      limit,
    )) {
      if (type === "DELETED") throw new Error(`${title} was deleted`);
      const waiting = rollout.stateOf(object);
      if (waiting === undefined) {
        because.clear();
        progress.done(`${title} successfully rolled out`);
        return;
      }
      progress.update(waiting);
      looking ??= tellWhy(connection, { namespace, selector: selectorOf(object), tell }, limit);
    }
  } catch (error) {
    if (limit.aborted && !signal.aborted)
      throw new Error(
        `${title} was not rolled out within ${timeoutMs / 1000} s: ${reason === "" ? "" : `${reason}; `}\`naru describe ${resource.singular} ${name}\` tells more`,
      );
    throw error;
  } finally {
    end.abort();
    await looking;
    because.clear();
  }
  throw new Error(`${title} does not exist in namespace ${namespace}`);
}

function selectorOf(object: KubeObject): LabelSelector | undefined {
  return (object as Deployment | DaemonSet).spec?.selector;
}

/** It is only handed objects of its own resource. */
function erase<T extends KubeObject>(rollout: Rollout<T>): Rollout<KubeObject> {
  return rollout as unknown as Rollout<KubeObject>;
}
