// What must hold of DaemonSets and Jobs: at every moment, and once all has settled. Pure.
import { isTrue } from "../../api/kinds/conditions.ts";
import type { DaemonSet, Job, Pod } from "../../api/kinds/generated/types.ts";
import type { Observed } from "./invariants.ts";
import type { World } from "./world.ts";

export function batchViolations(world: World): readonly string[] {
  const podsOf = Map.groupBy(world.pods.values(), ({ metadata }) => metadata?.ownerReferences?.[0]?.uid ?? "");
  return [
    ...[...world.jobs.values()].flatMap((job) => jobViolations(job, podsOf.get(uidOf(job)) ?? [], world)),
    ...[...world.daemonSets.values()].flatMap((set) => daemonViolations(set, podsOf.get(uidOf(set)) ?? [])),
  ];
}

// No more run than may; what is counted has happened, each success once; and what is over was enough, or failed often enough.
function jobViolations({ metadata, spec, status }: Job, pods: readonly Pod[], { ends }: World): readonly string[] {
  const name = `job ${metadata?.name}`;
  const active = pods.filter(isActive);
  const known = ends.get(metadata?.uid ?? "");
  const { succeeded = 0, failed = 0 } = status ?? {};
  const isIndexed = spec?.completionMode === "Indexed";
  const indexes = active.map((pod) => pod.metadata?.labels?.["batch.kubernetes.io/job-completion-index"]);
  const isComplete = isTrue(status?.conditions, "Complete");
  const hasFailed = isTrue(status?.conditions, "Failed");
  const limit = spec?.parallelism ?? 1;
  return [
    ...(active.length > limit ? [`${name} runs ${active.length} pods, ${limit} are allowed`] : []),
    ...(isIndexed && new Set(indexes).size < indexes.length ? [`${name} runs an index twice: ${indexes.join()}`] : []),
    ...(succeeded > (known?.succeeded.size ?? 0)
      ? [`${name} counts ${succeeded} successes of ${known?.succeeded.size ?? 0}`]
      : []),
    ...(failed > (known?.failed.size ?? 0) ? [`${name} counts ${failed} failures of ${known?.failed.size ?? 0}`] : []),
    ...(isComplete && succeeded !== spec?.completions
      ? [`${name} is complete with ${succeeded} of ${spec?.completions}`]
      : []),
    ...(hasFailed && failed <= (spec?.backoffLimit ?? 6) ? [`${name} has failed after ${failed} failures`] : []),
    ...(isComplete && hasFailed ? [`${name} is complete and has failed`] : []),
  ];
}

function daemonViolations({ metadata }: DaemonSet, pods: readonly Pod[]): readonly string[] {
  const nodes = pods.filter(isActive).map(nodeOf);
  const twice = nodes.filter((node, i) => nodes.indexOf(node) !== i);
  return twice.map((node) => `daemonset ${metadata?.name} has two pods for ${node}`);
}

/** What is still missing, a line for each. */
export function unsettledBatch({ world, batch }: Observed): readonly string[] {
  return [
    ...(batch.inFlight > 0 ? [`${batch.inFlight} requests about jobs have no answer`] : []),
    ...[...world.daemonSets.values()].flatMap((set) => unsettledDaemons(set, world)),
    ...[...world.jobs.values()].flatMap((job) => unsettledJob(job, world)),
  ];
}

function unsettledDaemons(set: DaemonSet, { pods, nodes }: World): readonly string[] {
  const { metadata, spec, status } = set;
  const image = spec?.template.spec?.containers[0]?.image;
  const own = [...pods.values()].filter((pod) => pod.metadata?.ownerReferences?.[0]?.uid === metadata?.uid);
  const good = own.filter(
    (pod) => pod.spec?.containers[0]?.image === image && isTrue(pod.status?.conditions, "Ready") && isActive(pod),
  );
  const { desiredNumberScheduled, updatedNumberScheduled, numberAvailable } = status ?? {};
  const counts = [desiredNumberScheduled, updatedNumberScheduled, numberAvailable];
  return [
    ...(own.length === nodes.size && new Set(good.map(nodeOf)).size === nodes.size
      ? []
      : [`daemonset ${metadata?.name} has ${own.length} pods, ${good.length} new and Ready, on ${nodes.size} nodes`]),
    ...(counts.every((count) => count === nodes.size) && status?.observedGeneration === metadata?.generation
      ? []
      : [`daemonset ${metadata?.name} says ${counts.join("/")} of ${nodes.size} nodes`]),
  ];
}

function unsettledJob({ metadata, status }: Job, { ends, pods }: World): readonly string[] {
  const name = `job ${metadata?.name}`;
  const isOver = isTrue(status?.conditions, "Complete") || isTrue(status?.conditions, "Failed");
  const { due } = ends.get(metadata?.uid ?? "") ?? { due: new Set<string>() };
  const held = [...pods.values()].filter(
    (pod) => pod.metadata?.ownerReferences?.[0]?.uid === metadata?.uid && (pod.metadata?.finalizers ?? []).length > 0,
  );
  return [
    ...(isOver ? [] : [`${name} is not over: ${JSON.stringify(status)}`]),
    ...(isOver && (status?.succeeded ?? 0) < due.size
      ? [`${name} counts ${status?.succeeded ?? 0} successes, ${due.size} were to be counted`]
      : []),
    ...(isOver && held.length > 0 ? [`${name} still holds ${held.length} pods`] : []),
  ];
}

function isActive({ metadata, status }: Pod): boolean {
  return metadata?.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed";
}

function nodeOf({ spec }: Pod): string {
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return spec?.nodeName ?? required?.nodeSelectorTerms[0]?.matchFields?.[0]?.values?.[0] ?? "";
}

function uidOf({ metadata }: { readonly metadata?: { readonly uid?: string } }): string {
  return metadata?.uid ?? "";
}
