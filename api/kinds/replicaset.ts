// What a ReplicaSet does beyond its schema.
import { replicasets } from "./generated/resources.ts";
import type { ReplicaSet } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const replicasetKind: Kind<ReplicaSet> = { resource: replicasets, columns: [], selectableFields: {} };
