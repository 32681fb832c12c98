// Earlier templates of a workload, to list and to go back to: a Deployment's ReplicaSets, a DaemonSet's ControllerRevisions.
import { controllerrevisions, daemonsets, deployments, replicasets } from "../api/kinds/generated/resources.ts";
import type { ControllerRevision, PodTemplateSpec, ReplicaSet } from "../api/kinds/generated/types.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";

export interface Revision {
  readonly number: number;
  readonly template: PodTemplateSpec | undefined;
  readonly changeCause: string | undefined;
}

interface History {
  readonly of: Resource;
  readonly kept: Resource;
  readonly read: (object: KubeObject) => Omit<Revision, "changeCause">;
}

const histories: readonly History[] = [
  {
    of: deployments,
    kept: replicasets,
    read: (set: ReplicaSet) => {
      const { "pod-template-hash": _, ...labels } = set.spec?.template?.metadata?.labels ?? {};
      const template = set.spec?.template;
      return {
        number: Number(set.metadata?.annotations?.["deployment.kubernetes.io/revision"] ?? 0),
        template: template === undefined ? undefined : { ...template, metadata: { ...template.metadata, labels } },
      };
    },
  },
  {
    of: daemonsets,
    kept: controllerrevisions,
    read: (object) => {
      const { revision, data } = object as ControllerRevision;
      const { $patch: _, ...template } =
        (data as { spec?: { template?: PodTemplateSpec & { $patch?: string } } } | undefined)?.spec?.template ?? {};
      return { number: revision, template };
    },
  },
];

/** Where the history of a kind's objects is kept; undefined: it has none. */
export function historyOf({ kind }: Resource): History | undefined {
  return histories.find(({ of }) => of.kind === kind);
}

/** Of one owner, oldest first. `objects`: all of the kind that keeps them. */
export function revisionsIn(
  { read }: History,
  objects: readonly KubeObject[],
  ownerUid: string | undefined,
): readonly Revision[] {
  return objects
    .filter(({ metadata }) => metadata?.ownerReferences?.some(({ uid }) => uid === ownerUid))
    .map((object) => ({
      ...read(object),
      changeCause: object.metadata?.annotations?.["kubernetes.io/change-cause"],
    }))
    .sort((a, b) => a.number - b.number);
}
