// What a Lease does beyond its schema.
import { ageColumn, column, nameColumn } from "./columns.ts";
import { leases } from "./generated/resources.ts";
import type { Lease } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { atLeast } from "./pod-validate.ts";

export const leaseKind: Kind<Lease> = {
  resource: leases,
  columns: [nameColumn, column("Holder", "Who holds it.", (lease) => lease.spec?.holderIdentity ?? ""), ageColumn],
  selectableFields: {},
  validate: (lease) => [
    ...validateMetadata(lease),
    ...atLeast("spec.leaseDurationSeconds", lease.spec?.leaseDurationSeconds, 1),
    ...atLeast("spec.leaseTransitions", lease.spec?.leaseTransitions, 0),
  ],
};
