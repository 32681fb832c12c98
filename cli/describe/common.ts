// What descriptions of many kinds have in common.
import type { Condition } from "../../api/kinds/conditions.ts";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { ageOf } from "../../api/kinds/schema/human-age.ts";
import { type Part, pairs, type Row } from "./layout.ts";

/** Annotations of the machinery, which say nothing to a reader. */
const machinery = new Set(["kubectl.kubernetes.io/last-applied-configuration", "naru.dev/session"]);

export function metadataRows({ metadata = {} }: KubeObject, nowMs: number): readonly Row[] {
  const { name = "", namespace = "", labels, annotations = {}, creationTimestamp, deletionTimestamp } = metadata;
  const shown = Object.fromEntries(Object.entries(annotations).filter(([key]) => !machinery.has(key)));
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  return [
    ["Name", name],
    ["Namespace", namespace],
    ["Labels", pairs(labels)],
    ["Annotations", pairs(shown)],
    ["Controlled by", owner === undefined ? "" : `${owner.kind}/${owner.name}`],
    ["Created", momentText(creationTimestamp, nowMs)],
    ["To be deleted", momentText(deletionTimestamp, nowMs)],
    ["Waits for", deletionTimestamp === undefined ? [] : (metadata.finalizers ?? [])],
  ];
}

/** "2026-01-31T12:00:00Z (5m ago)" */
export function momentText(time: string | undefined, nowMs: number): string {
  if (time === undefined || time === "") return "";
  return Date.parse(time) > nowMs ? time : `${time} (${ageOf(time, nowMs)} ago)`;
}

export function conditionsPart(conditions: readonly Condition[] | undefined): Part {
  return {
    type: "table",
    title: "Conditions",
    header: ["TYPE", "STATUS", "REASON", "MESSAGE"],
    rows: (conditions ?? []).map(({ type, status, reason = "", message = "" }) => [type, status, reason, message]),
  };
}
