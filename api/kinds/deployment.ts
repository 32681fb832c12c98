// What a Deployment does beyond its schema.
import { deployments } from "./generated/resources.ts";
import type { Deployment } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const deploymentKind: Kind<Deployment> = { resource: deployments, columns: [], selectableFields: {} };
