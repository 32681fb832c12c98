// Every key of a service that the Compose specification knows.
import type { ServiceDraft } from "../draft.ts";
import type { Fields } from "../read.ts";
import { containerFields } from "./container.ts";
import { deployFields } from "./deploy.ts";
import { healthFields } from "./health.ts";
import { hookFields } from "./hooks.ts";
import { networkFields } from "./network.ts";
import { resourceFields } from "./resources.ts";
import { securityFields } from "./security.ts";
import { storageFields } from "./storage.ts";

export const serviceFields: Fields<ServiceDraft> = {
  ...containerFields,
  ...deployFields,
  ...healthFields,
  ...hookFields,
  ...networkFields,
  ...resourceFields,
  ...securityFields,
  ...storageFields,
};
