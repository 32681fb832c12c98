// What a ServiceAccount does beyond its schema.
import { ageColumn, nameColumn, numberColumn } from "./columns.ts";
import { serviceaccounts } from "./generated/resources.ts";
import type { ServiceAccount } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";

export const serviceaccountKind: Kind<ServiceAccount> = {
  resource: serviceaccounts,
  columns: [
    nameColumn,
    numberColumn("Secrets", "How many secrets it names.", (account) => account.secrets?.length),
    ageColumn,
  ],
  selectableFields: {},
  validate: (account) => validateMetadata(account),
};
