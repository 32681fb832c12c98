// What a ConfigMap does beyond its schema.
import { configmaps } from "./generated/resources.ts";
import type { ConfigMap } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const configmapKind: Kind<ConfigMap> = { resource: configmaps, columns: [], selectableFields: {} };
