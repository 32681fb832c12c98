// Owner references: which controller an object belongs to, and how one is written.
import { assert } from "../../lib/assert.ts";
import type { OwnerReference } from "./generated/types.ts";
import { apiVersionOf, type KubeObject, type Resource } from "./resource.ts";

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find((o) => o.controller === true);
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return owner.metadata?.uid !== undefined && controllerOf(object)?.uid === owner.metadata.uid;
}

/** The reference that a controller puts into what it makes; `owner` has been stored (it has a uid). */
export function controllerReference<T extends KubeObject>(resource: Resource<T>, owner: T): OwnerReference {
  const { name, uid } = owner.metadata ?? {};
  assert(name !== undefined && uid !== undefined, "an owner is stored before it owns");
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    name,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}
