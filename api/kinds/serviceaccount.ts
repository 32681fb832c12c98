// What a ServiceAccount does beyond its schema.
import { serviceaccounts } from "./generated/resources.ts";
import type { ServiceAccount } from "./generated/types.ts";
import type { Kind } from "./kind.ts";

export const serviceaccountKind: Kind<ServiceAccount> = {
  resource: serviceaccounts,
  columns: [],
  selectableFields: {},
};
