// What a Namespace does beyond its schema.
import { namespaces } from "./generated/resources.ts";
import type { Namespace } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const namespaceKind: Kind<Namespace> = { resource: namespaces, columns: [], selectableFields: {} };
