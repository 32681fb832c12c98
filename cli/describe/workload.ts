// What keeps pods running: how far it is, what it makes, and the pods that it has.

import type { Condition } from "../../api/kinds/conditions.ts";
import { daemonsets, deployments, pods, replicasets } from "../../api/kinds/generated/resources.ts";
import type {
  DaemonSet,
  Deployment,
  LabelSelector,
  Pod,
  PodTemplateSpec,
  ReplicaSet,
} from "../../api/kinds/generated/types.ts";
import { isControlledBy } from "../../api/kinds/owners.ts";
import { summarize } from "../../api/kinds/pod-columns.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { ageOf } from "../../api/kinds/schema/human-age.ts";
import { selectorText } from "../../api/kinds/selector-text.ts";
import { pathOf } from "../resources.ts";
import { whyNotReady } from "../why-not-ready.ts";
import { conditionsPart, metadataRows } from "./common.ts";
import { containerPart } from "./container.ts";
import type { Ask, Describer } from "./describers.ts";
import { type Part, pairs, type Row } from "./layout.ts";
import { volumesPart } from "./pod.ts";

export const deploymentDescriber: Describer<Deployment> = {
  resource: deployments,
  describe: async (deployment, ask) => {
    const { metadata, spec } = deployment;
    const labelSelector = selectorText(spec?.selector);
    const selected = await ask.list<ReplicaSet>(pathOf(replicasets, metadata?.namespace), { labelSelector });
    const sets = selected.filter((set) => isControlledBy(set, deployment));
    return workloadParts(
      deployment,
      deploymentRows(deployment),
      [setsPart(sets), await podsPart(deployment, sets, ask)],
      ask.nowMs,
    );
  },
};

export const replicaSetDescriber: Describer<ReplicaSet> = {
  resource: replicasets,
  describe: async (set, ask) => {
    const { spec, status } = set;
    const replicas = `${spec?.replicas ?? 1} wanted, ${status?.replicas ?? 0} there, ${status?.readyReplicas ?? 0} ready`;
    return workloadParts(set, [["Replicas", replicas]], [await podsPart(set, [set], ask)], ask.nowMs);
  },
};

export const daemonSetDescriber: Describer<DaemonSet> = {
  resource: daemonsets,
  describe: async (set, ask) => {
    const {
      desiredNumberScheduled = 0,
      currentNumberScheduled = 0,
      numberReady = 0,
      updatedNumberScheduled = 0,
      numberMisscheduled = 0,
    } = set.status ?? {};
    const count = `${desiredNumberScheduled} wanted, ${currentNumberScheduled} there, ${updatedNumberScheduled} updated, ${numberReady} ready, ${numberMisscheduled} where they should not be`;
    return workloadParts(
      set,
      [
        ["Nodes", count],
        ["Update", set.spec?.updateStrategy?.type ?? ""],
      ],
      [await podsPart(set, [set], ask)],
      ask.nowMs,
    );
  },
};

export function deploymentRows({ spec, status = {} }: Deployment): readonly Row[] {
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const { type = "RollingUpdate", rollingUpdate } = spec?.strategy ?? {};
  const steps =
    type === "Recreate"
      ? ""
      : `: ${rollingUpdate?.maxSurge ?? "25%"} more, ${rollingUpdate?.maxUnavailable ?? "25%"} less at a time`;
  return [
    [
      "Replicas",
      `${spec?.replicas ?? 1} wanted, ${replicas} there, ${updatedReplicas} updated, ${availableReplicas} available`,
    ],
    ["Update", `${type}${steps}${spec?.paused === true ? ", paused" : ""}`],
    ["Minimum ready", (spec?.minReadySeconds ?? 0) === 0 ? "" : `${spec?.minReadySeconds}s`],
    ["Progress deadline", `${spec?.progressDeadlineSeconds ?? 600}s`],
  ];
}

interface Workload extends KubeObject {
  readonly spec?: { readonly selector?: LabelSelector; readonly template?: PodTemplateSpec };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

function workloadParts(
  workload: Workload,
  rows: readonly Row[],
  parts: readonly Part[],
  nowMs: number,
): readonly Part[] {
  const { template, selector } = workload.spec ?? {};
  const { initContainers = [], containers = [], volumes, nodeSelector } = template?.spec ?? {};
  return [
    {
      type: "fields",
      rows: [
        ...metadataRows(workload, nowMs),
        ["Selector", selectorText(selector)],
        ...rows,
        ["Pods' labels", pairs(template?.metadata?.labels)],
        ["Node selector", pairs(nodeSelector)],
      ],
    },
    ...initContainers.map((container) => containerPart(container, { role: "Init container", nowMs })),
    ...containers.map((container) => containerPart(container, { nowMs })),
    volumesPart(volumes),
    conditionsPart(workload.status?.conditions),
    ...parts,
  ];
}

/** Newest first; those of earlier revisions wait for an undo. */
function setsPart(sets: readonly ReplicaSet[]): Part {
  const revisionOf = ({ metadata }: ReplicaSet) =>
    Number(metadata?.annotations?.["deployment.kubernetes.io/revision"] ?? 0);
  return {
    type: "table",
    title: "ReplicaSets",
    header: ["REVISION", "NAME", "WANTED", "READY", "IMAGES"],
    rows: [...sets]
      .sort((a, b) => revisionOf(b) - revisionOf(a))
      .map((set) => [
        String(revisionOf(set)),
        set.metadata?.name ?? "",
        String(set.spec?.replicas ?? 0),
        String(set.status?.readyReplicas ?? 0),
        (set.spec?.template?.spec?.containers ?? []).map(({ image = "" }) => image).join(","),
      ]),
  };
}

/** Of the named owners, not what else has the same labels. Why those wait that do not run, in their own words. */
async function podsPart(
  { metadata, spec }: Workload,
  owners: readonly KubeObject[],
  { list, nowMs }: Ask,
): Promise<Part> {
  const labelSelector = selectorText(spec?.selector);
  const selected = await list<Pod>(pathOf(pods, metadata?.namespace), { labelSelector });
  const found = selected.filter((pod) => owners.some((owner) => isControlledBy(pod, owner)));
  return {
    type: "table",
    title: "Pods",
    header: ["NAME", "READY", "STATUS", "NODE", "AGE", "WHY"],
    rows: found.map((pod) => {
      const { ready, total, status } = summarize(pod);
      const { name = "", creationTimestamp } = pod.metadata ?? {};
      return [
        name,
        `${ready}/${total}`,
        status,
        pod.spec?.nodeName ?? "",
        ageOf(creationTimestamp, nowMs),
        whyNotReady(pod),
      ];
    }),
  };
}
