// Follows a Deployment until its rollout is complete, in kubectl's words.

import { conditionOf } from "../api/kinds/conditions.ts";
import { deployments } from "../api/kinds/generated/resources.ts";
import type { Deployment } from "../api/kinds/generated/types.ts";
import type { Connection } from "./connection.ts";
import { silentProgress, startProgress } from "./progress.ts";
import { pathOf } from "./resources.ts";
import { watchObjects } from "./watch.ts";

/** What is still awaited; undefined when the rollout is complete. Throws when it cannot complete. */
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

export async function waitForRollout(
  connection: Connection,
  { name, namespace }: { readonly name: string; readonly namespace: string },
  {
    signal,
    timeoutMs,
    quiet = false,
  }: { readonly signal: AbortSignal; readonly timeoutMs: number; readonly quiet?: boolean },
): Promise<void> {
  const progress = quiet ? silentProgress : startProgress();
  const path = pathOf(deployments, namespace);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    for await (const { type, object } of watchObjects<Deployment>(
      connection,
      path,
      { fieldSelector: `metadata.name=${name}` },
      limit,
    )) {
      if (type === "DELETED") throw new Error(`deployment "${name}" was deleted`);
      const waiting = rolloutState(object);
      if (waiting === undefined) {
        progress.done(`deployment "${name}" successfully rolled out`);
        return;
      }
      progress.update(waiting);
    }
  } catch (error) {
    if (limit.aborted && !signal.aborted)
      throw new Error(
        `deployment "${name}" was not rolled out within ${timeoutMs / 1000} s: \`naru get pods\` and \`naru describe deployment ${name}\` tell why`,
      );
    throw error;
  }
  throw new Error(`deployment "${name}" does not exist in namespace ${namespace}`);
}
