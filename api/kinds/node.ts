// What a Node does beyond its schema.
import { nodes } from "./generated/resources.ts";
import type { Node } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const nodeKind: Kind<Node> = { resource: nodes, columns: [], selectableFields: {} };
