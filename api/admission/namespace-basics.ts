// A namespace can be selected by its name, and stays until all that is in it has gone.
import type { Namespace } from "../kinds/generated/types.ts";
import type { Admission } from "./list.ts";

const nameLabel = "kubernetes.io/metadata.name";
const finalizer = "kubernetes";

export const namespaceBasics: Admission = ({ kind }, object) => {
  if (kind.resource.kind !== "Namespace") return object;
  const { metadata, spec } = object as Namespace;
  const finalizers = spec?.finalizers ?? [];
  const namespace: Namespace = {
    ...object,
    metadata: { ...metadata, labels: { ...metadata?.labels, [nameLabel]: metadata?.name ?? "" } },
    spec: { ...spec, finalizers: finalizers.includes(finalizer) ? finalizers : [...finalizers, finalizer] },
    status: { phase: "Active" },
  };
  return namespace;
};
