// What a Pod does beyond its schema.
import { pods } from "./generated/resources.ts";
import type { Pod } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const podKind: Kind<Pod> = { resource: pods, columns: [], selectableFields: {} };
