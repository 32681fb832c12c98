// What a Node does beyond its schema.
import { ageColumn, column, nameColumn, wide } from "./columns.ts";
import { conditionOf } from "./conditions.ts";
import { nodes } from "./generated/resources.ts";
import type { Node, Taint } from "./generated/types.ts";
import type { FieldError, Kind } from "./kind.ts";
import { complaints, duplicates, validateMetadata } from "./metadata.ts";
import { immutable, oneOf, required } from "./schema/field-error.ts";
import { labelValue, qualifiedName } from "./schema/names.ts";
import { at, child } from "./schema/path.ts";
import { keepStatus } from "./status-field.ts";

const rolePrefix = "node-role.kubernetes.io/";

export const nodeKind: Kind<Node> = {
  resource: nodes,
  columns: [
    nameColumn,
    column("Status", "Whether it takes pods.", statusText),
    column("Roles", "Its roles, from labels.", rolesText),
    ageColumn,
    column("Version", "Version of its agent.", (node) => node.status?.nodeInfo?.kubeletVersion ?? ""),
    wide("Internal-IP", "Its address inside of the cluster.", (node) => addressOf(node, "InternalIP")),
    wide("External-IP", "Its address outside of the cluster.", (node) => addressOf(node, "ExternalIP")),
    wide("OS-Image", "Its operating system.", (node) => node.status?.nodeInfo?.osImage || "<unknown>"),
    wide("Kernel-Version", "Its kernel.", (node) => node.status?.nodeInfo?.kernelVersion || "<unknown>"),
    wide(
      "Container-Runtime",
      "What runs its containers.",
      (node) => node.status?.nodeInfo?.containerRuntimeVersion || "<unknown>",
    ),
  ],
  selectableFields: { "spec.unschedulable": (node) => String(node.spec?.unschedulable ?? false) },
  prepareUpdate: keepStatus,
  validate: (node) => [...validateMetadata(node), ...taintErrors(node.spec?.taints ?? [], "spec.taints")],
  validateUpdate: (node, old) => {
    const [now, before] = [node.spec?.podCIDR, old.spec?.podCIDR];
    return !before || now === before ? [] : [immutable("spec.podCIDR", now)];
  },
};

function statusText(node: Node): string {
  const ready = conditionOf(node.status?.conditions, "Ready");
  const text = ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady";
  return node.spec?.unschedulable === true ? `${text},SchedulingDisabled` : text;
}

function rolesText(node: Node): string {
  const roles = Object.entries(node.metadata?.labels ?? {}).flatMap(([name, value]) => {
    if (name.startsWith(rolePrefix)) return [name.slice(rolePrefix.length)];
    return name === "kubernetes.io/role" ? [value] : [];
  });
  return (
    [...new Set(roles)]
      .filter((role) => role !== "")
      .sort()
      .join(",") || "<none>"
  );
}

function addressOf(node: Node, type: string): string {
  return node.status?.addresses?.find((address) => address.type === type)?.address || "<none>";
}

function taintErrors(taints: readonly Taint[], path: string): readonly FieldError[] {
  return [
    ...taints.flatMap((taint, i) => [
      ...(taint.key
        ? complaints(child(at(path, i), "key"), taint.key, qualifiedName)
        : [required(child(at(path, i), "key"))]),
      ...complaints(child(at(path, i), "value"), taint.value ?? "", labelValue),
      ...oneOf(child(at(path, i), "effect"), taint.effect, ["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ]),
    ...duplicates(
      taints.map((taint) => `${taint.key}:${taint.effect}`),
      (i) => at(path, i),
    ),
  ];
}
