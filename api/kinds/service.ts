// What a Service does beyond its schema.
import { services } from "./generated/resources.ts";
import type { Service } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const serviceKind: Kind<Service> = { resource: services, columns: [], selectableFields: {} };
