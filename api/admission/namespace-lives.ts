// Nothing is created in a namespace that does not exist or is on its way out.
import { namespaces } from "../kinds/generated/resources.ts";
import { ApiError } from "../kinds/status.ts";
import { details, notFound, qualified } from "../verbs/refusals.ts";
import type { Admission } from "./list.ts";

export const namespaceLives: Admission = ({ context, kind, namespace }, object) => {
  if (!kind.resource.namespaced || namespace === undefined) return object;
  const found = context.cache.get(namespaces, namespace)?.object;
  if (found === undefined) throw notFound(namespaces, namespace);
  if (found.metadata?.deletionTimestamp === undefined && found.status?.phase !== "Terminating") return object;
  const name = object.metadata?.name ?? "";
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  throw new ApiError("Forbidden", `${qualified(kind.resource)} ${JSON.stringify(name)} is forbidden: ${why}`, {
    details: {
      ...details(kind.resource, name),
      causes: [
        {
          reason: "NamespaceTerminating",
          message: `namespace ${namespace} is being terminated`,
          field: "metadata.namespace",
        },
      ],
    },
  });
};
