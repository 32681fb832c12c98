// An object of a kind that has no words of its own yet: its fields as readable text.
import { stringify } from "yaml";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { bold, printTable } from "../terminal.ts";

/** Its fields as YAML without the machinery's fields; empty values are left out. */
export function fieldsOf(object: KubeObject): string {
  const { apiVersion, kind, metadata, ...rest } = object as KubeObject & Readonly<Record<string, unknown>>;
  const { managedFields: _, resourceVersion: __, generation: ___, annotations = {}, ...meta } = metadata ?? {};
  const { "kubectl.kubernetes.io/last-applied-configuration": ____, ...shown } = annotations;
  const conditions =
    (rest["status"] as { conditions?: readonly Record<string, string>[] } | undefined)?.conditions ?? [];
  const body = {
    ...rest,
    ...(rest["status"] === undefined ? {} : { status: { ...(rest["status"] as object), conditions: undefined } }),
  };
  const parts = [
    bold(`${kind} ${meta.name}`),
    section({ apiVersion, ...meta, ...(Object.keys(shown).length === 0 ? {} : { annotations: shown }) }),
    section(body),
  ];
  if (conditions.length > 0) {
    const rows = conditions.map(({ type = "", status = "", reason = "", message = "" }) => [
      type,
      status,
      reason,
      message,
    ]);
    parts.push(bold("Conditions"), printTable(["TYPE", "STATUS", "REASON", "MESSAGE"], rows));
  }
  return parts.filter((part) => part !== "").join("\n");
}

function section(value: object): string {
  const kept = JSON.parse(JSON.stringify(value, (_, inner: unknown) => (isEmpty(inner) ? undefined : inner))) as object;
  return Object.keys(kept).length === 0 ? "" : stringify(kept, { lineWidth: 0 }).trimEnd();
}

function isEmpty(value: unknown): boolean {
  return value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}
