// What a Namespace does beyond its schema.
import { ageColumn, column, nameColumn } from "./columns.ts";
import { namespaces } from "./generated/resources.ts";
import type { Namespace } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { dns1123Label } from "./schema/names.ts";
import { keepStatus } from "./status-field.ts";

/** Stands in spec.finalizers until everything in the namespace is gone. */
export const namespaceFinalizer = "kubernetes";
const nameLabel = "kubernetes.io/metadata.name";

const lastingNamespaces = ["default", "kube-system", "kube-public"];

export const namespaceKind: Kind<Namespace> = {
  resource: namespaces,
  lasting: new Map(lastingNamespaces.map((name) => [name, "this namespace may not be deleted"])),
  columns: [
    nameColumn,
    column("Status", "Active, or Terminating while its contents are deleted.", (ns) => ns.status?.phase ?? ""),
    ageColumn,
  ],
  selectableFields: { "status.phase": (ns) => ns.status?.phase ?? "" },
  defaults: (ns) => {
    const { name, labels } = ns.metadata ?? {};
    return name === undefined || name === ""
      ? ns
      : { ...ns, metadata: { ...ns.metadata, labels: { ...labels, [nameLabel]: name } } };
  },
  prepareCreate: (ns) => ({
    ...ns,
    spec: { ...ns.spec, finalizers: [namespaceFinalizer] },
    status: { phase: "Active" },
  }),
  prepareUpdate: (ns, old) => {
    const { spec: _, ...rest } = ns;
    return keepStatus(old.spec === undefined ? rest : { ...rest, spec: old.spec }, old);
  },
  validate: (ns) => validateMetadata(ns, dns1123Label),
};
