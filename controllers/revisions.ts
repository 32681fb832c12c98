// The history of a workload's templates as ControllerRevisions: one per template, the highest number is the present one.
import { controllerrevisions } from "../api/kinds/generated/resources.ts";
import type { ControllerRevision, PodTemplateSpec } from "../api/kinds/generated/types.ts";
import { controllerReference, isControlledBy } from "../api/kinds/owners.ts";
import { podTemplateHash } from "../api/kinds/pod-template.ts";
import type { KubeObject, Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import type { Client } from "../client/client.ts";

export const revisionHashLabel = "controller-revision-hash";

/** What revisions are kept of: a DaemonSet, for one. */
export type Versioned = KubeObject & {
  readonly spec?: { readonly template: PodTemplateSpec; readonly revisionHistoryLimit?: number };
  readonly status?: { readonly collisionCount?: number };
};

export type RevisionChange =
  | { readonly type: "create"; readonly revision: number }
  /** An old template is wanted again. */
  | { readonly type: "renumber"; readonly found: ControllerRevision; readonly revision: number }
  | { readonly type: "remove"; readonly found: ControllerRevision };

export interface RevisionPlan {
  /** Of the present template. */
  readonly hash: string;
  readonly changes: readonly RevisionChange[];
}

/** `owned`: the owner's revisions; `used`: hashes that pods have, which are kept. */
export function planRevisions(
  owner: Versioned,
  owned: readonly ControllerRevision[],
  used: ReadonlySet<string>,
): RevisionPlan {
  const hash = podTemplateHash(owner.spec?.template ?? {}, owner.status?.collisionCount ?? 0);
  const found = owned.find((one) => hashOf(one) === hash);
  const others = owned.filter((one) => one !== found);
  const highest = Math.max(0, ...others.map(({ revision }) => revision));
  const idle = others.filter((one) => !used.has(hashOf(one))).sort((a, b) => a.revision - b.revision);
  const excess = Math.max(0, idle.length - (owner.spec?.revisionHistoryLimit ?? 10));
  return {
    hash,
    changes: [
      ...(found === undefined ? [{ type: "create", revision: highest + 1 } as const] : []),
      ...(found !== undefined && found.revision <= highest
        ? [{ type: "renumber", found, revision: highest + 1 } as const]
        : []),
      ...idle.slice(0, excess).map((one) => ({ type: "remove", found: one }) as const),
    ],
  };
}

/** Whether the present template has its revision now; false: its name is taken, and another hash is needed. */
export async function applyRevisions<T extends Versioned>(
  client: Client,
  resource: Resource<T>,
  owner: T,
  { hash, changes }: RevisionPlan,
): Promise<boolean> {
  for (const change of changes) {
    switch (change.type) {
      case "create":
        if (!(await createRevision(client, resource, owner, { hash, revision: change.revision }))) return false;
        break;
      case "renumber":
        await client.patch(controllerrevisions, nameOf(change.found), {
          type: "merge",
          body: { revision: change.revision },
        });
        break;
      case "remove":
        await client
          .delete(controllerrevisions, nameOf(change.found), {
            preconditions: { uid: change.found.metadata?.uid ?? "" },
          })
          .catch((error: unknown) => {
            if (!isReason(error, "NotFound", "Conflict")) throw error;
          });
    }
  }
  return true;
}

async function createRevision<T extends Versioned>(
  client: Client,
  resource: Resource<T>,
  owner: T,
  { hash, revision }: { readonly hash: string; readonly revision: number },
): Promise<boolean> {
  const { namespace = "", name = "", annotations = {} } = owner.metadata ?? {};
  const { "kubectl.kubernetes.io/last-applied-configuration": _, ...carried } = annotations;
  const place = { namespace, name: `${name}-${hash}` };
  try {
    await client.create(controllerrevisions, {
      apiVersion: "apps/v1",
      kind: "ControllerRevision",
      metadata: {
        ...place,
        labels: { ...owner.spec?.template.metadata?.labels, [revisionHashLabel]: hash },
        annotations: carried,
        ownerReferences: [controllerReference(resource, owner)],
      },
      data: { spec: { template: { ...owner.spec?.template, $patch: "replace" } } },
      revision,
    });
    return true;
  } catch (error) {
    if (!isReason(error, "AlreadyExists")) throw error;
    return isControlledBy(await client.get(controllerrevisions, place), owner);
  }
}

export function hashOf({ metadata }: KubeObject): string {
  return metadata?.labels?.[revisionHashLabel] ?? "";
}

function nameOf({ metadata }: KubeObject): { readonly namespace: string; readonly name: string } {
  return { namespace: metadata?.namespace ?? "", name: metadata?.name ?? "" };
}
