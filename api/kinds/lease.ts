// What a Lease does beyond its schema.
import { leases } from "./generated/resources.ts";
import type { Lease } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const leaseKind: Kind<Lease> = { resource: leases, columns: [], selectableFields: {} };
