// What is still missing before a cluster without faults counts as converged. Pure.
import { isTrue } from "../../api/kinds/conditions.ts";
import type { Deployment, Pod } from "../../api/kinds/generated/types.ts";
import { unsettledBatch } from "./batch-invariants.ts";
import type { Observed } from "./invariants.ts";

/** One line for each thing that is not yet as declared; none: everything has converged. */
export function unsettled(observed: Observed): readonly string[] {
  const { world, workload } = observed;
  const missing = workload.inFlight > 0 ? [`${workload.inFlight} requests have no answer`] : [];
  for (const [name, node] of world.nodes) {
    if (!isTrue(node.status?.conditions, "Ready")) missing.push(`node ${name} is not Ready`);
    if ((node.spec?.taints ?? []).some(({ key }) => key.startsWith("node.kubernetes.io/"))) {
      if (node.spec?.unschedulable !== true) missing.push(`node ${name} is still tainted`);
    }
  }
  if (world.nodes.size !== observed.machines.length) missing.push(`${world.nodes.size} nodes are registered`);
  return [
    ...missing,
    ...[...world.deployments.values()].flatMap((deployment) => unsettledDeployment(deployment, observed)),
    ...unsettledBatch(observed),
    ...unsettledPods(observed),
    ...unsettledMachines(observed),
    ...unsettledServices(observed),
  ];
}

function unsettledDeployment({ metadata, spec, status }: Deployment, { world }: Observed): readonly string[] {
  const name = metadata?.name ?? "";
  const wanted = spec?.replicas ?? 1;
  const image = spec?.template?.spec?.containers[0]?.image;
  const own = [...world.pods.values()].filter((pod) => pod.metadata?.labels?.["app"] === name);
  const ready = own.filter((pod) => pod.spec?.containers[0]?.image === image && isReady(pod));
  const counts = [status?.replicas, status?.updatedReplicas, status?.readyReplicas, status?.availableReplicas];
  return [
    ...(status?.observedGeneration === metadata?.generation ? [] : [`deployment ${name} was not looked at`]),
    ...(counts.every((count) => (count ?? 0) === wanted)
      ? []
      : [`deployment ${name} wants ${wanted}, its status says ${counts.map((count) => count ?? 0).join("/")}`]),
    ...(own.length === wanted && ready.length === wanted
      ? []
      : [`deployment ${name} wants ${wanted} pods, has ${own.length}, of which ${ready.length} are new and Ready`]),
  ];
}

function unsettledPods({ world }: Observed): readonly string[] {
  const owners = [...world.replicaSets.values(), ...world.daemonSets.values(), ...world.jobs.values()];
  const uids = new Set(owners.map(({ metadata }) => metadata?.uid));
  return [...world.pods].flatMap(([key, pod]) => {
    const owner = pod.metadata?.ownerReferences?.[0]?.uid;
    return [
      ...(pod.metadata?.deletionTimestamp === undefined ? [] : [`pod ${key} is still being deleted`]),
      ...(owner !== undefined && uids.has(owner) ? [] : [`pod ${key} has lost its owner`]),
    ];
  });
}

function unsettledMachines({ world, machines }: Observed): readonly string[] {
  const ended = new Set([...world.pods.values()].filter(hasEnded).map(({ metadata }) => metadata?.uid ?? ""));
  const podOf = new Map(
    [...world.pods.values()].filter((pod) => !hasEnded(pod)).map((pod) => [pod.metadata?.uid ?? "", pod]),
  );
  const missing: string[] = [];
  const podsOf = new Map(machines.map(({ name, pods }) => [name, pods()]));
  for (const [name, pods] of podsOf) {
    for (const [uid, phase] of pods) {
      if (ended.has(uid) && phase !== "running") continue;
      if (!podOf.has(uid)) missing.push(`container of ${uid} on ${name} is an orphan`);
      else if (phase !== "running") missing.push(`container of ${uid} on ${name} is ${phase}`);
    }
  }
  for (const [uid, pod] of podOf) {
    if (podsOf.get(pod.spec?.nodeName ?? "")?.has(uid) !== true) {
      missing.push(`pod ${pod.metadata?.name} on ${pod.spec?.nodeName ?? "no node"} has no container`);
    }
  }
  return missing;
}

function unsettledServices({ world }: Observed): readonly string[] {
  const missing: string[] = [];
  const slices = [...world.endpointSlices.values()];
  for (const [key, service] of world.services) {
    const app = service.spec?.selector?.["app"];
    if (app === undefined) continue;
    const wanted = [...world.pods.values()]
      .filter((pod) => pod.metadata?.labels?.["app"] === app && isReady(pod))
      .map((pod) => pod.status?.podIP ?? "");
    const found = slices
      .filter(({ metadata }) => metadata?.labels?.["kubernetes.io/service-name"] === service.metadata?.name)
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(({ conditions }) => conditions?.ready === true)
      .flatMap(({ addresses }) => addresses);
    if (JSON.stringify(wanted.sort()) !== JSON.stringify(found.sort())) {
      missing.push(`service ${key} has ${found.length} ready endpoints of ${wanted.length}`);
    }
  }
  for (const { metadata } of slices) {
    const owner = metadata?.labels?.["kubernetes.io/service-name"];
    if (!world.services.has(`${metadata?.namespace}/${owner}`)) missing.push(`slice ${metadata?.name} has no service`);
  }
  return missing;
}

function hasEnded({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

function isReady(pod: Pod): boolean {
  return isTrue(pod.status?.conditions, "Ready") && pod.metadata?.deletionTimestamp === undefined;
}
