// What a EndpointSlice does beyond its schema.
import { endpointslices } from "./generated/resources.ts";
import type { EndpointSlice } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const endpointsliceKind: Kind<EndpointSlice> = { resource: endpointslices, columns: [], selectableFields: {} };
