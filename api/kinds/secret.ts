// What a Secret does beyond its schema.
import { secrets } from "./generated/resources.ts";
import type { Secret } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const secretKind: Kind<Secret> = { resource: secrets, columns: [], selectableFields: {} };
