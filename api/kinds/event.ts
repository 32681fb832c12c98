// What an Event does beyond its schema.
import { column, nameColumn, wide } from "./columns.ts";
import { events } from "./generated/resources.ts";
import type { Event } from "./generated/types.ts";
import type { Kind } from "./kind.ts";
import { validateMetadata } from "./metadata.ts";
import { invalid } from "./schema/field-error.ts";
import { ageOf } from "./schema/human-age.ts";

export const eventKind: Kind<Event> = {
  resource: events,
  columns: [
    column("Last Seen", "When it happened last.", (event, nowMs) => ageOf(lastSeen(event), nowMs)),
    column("Type", "Normal or Warning.", (event) => event.type ?? ""),
    column("Reason", "What happened, in one word.", (event) => event.reason ?? ""),
    column("Object", "What it is about.", ({ involvedObject: o }) => `${(o.kind ?? "").toLowerCase()}/${o.name ?? ""}`),
    wide("Subobject", "Which part of it.", (event) => event.involvedObject.fieldPath ?? ""),
    wide("Source", "Who reports it.", sourceText),
    column("Message", "What happened, in words.", (event) => (event.message ?? "").trim()),
    wide("First Seen", "When it happened first.", (event, nowMs) =>
      ageOf(event.firstTimestamp ?? event.eventTime, nowMs),
    ),
    {
      ...wide<Event>("Count", "How often it happened.", (event) => event.series?.count ?? event.count ?? 1),
      type: "integer",
    },
    { ...nameColumn, priority: 1 },
  ],
  selectableFields: {
    "involvedObject.kind": (event) => event.involvedObject.kind ?? "",
    "involvedObject.namespace": (event) => event.involvedObject.namespace ?? "",
    "involvedObject.name": (event) => event.involvedObject.name ?? "",
    "involvedObject.uid": (event) => event.involvedObject.uid ?? "",
    "involvedObject.apiVersion": (event) => event.involvedObject.apiVersion ?? "",
    "involvedObject.resourceVersion": (event) => event.involvedObject.resourceVersion ?? "",
    "involvedObject.fieldPath": (event) => event.involvedObject.fieldPath ?? "",
    reason: (event) => event.reason ?? "",
    reportingComponent: (event) => event.reportingComponent ?? "",
    source: (event) => event.source?.component || (event.reportingComponent ?? ""),
    type: (event) => event.type ?? "",
  },
  validate: (event) => {
    const about = event.involvedObject.namespace ?? "";
    const place = event.metadata?.namespace ?? "";
    return [
      ...validateMetadata(event),
      // Events about what has no namespace stand in "default".
      ...(about === place || about === ""
        ? []
        : [invalid("involvedObject.namespace", about, "does not match event.namespace")]),
    ];
  },
};

function lastSeen(event: Event): string | undefined {
  return event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime;
}

function sourceText({ source, reportingComponent, reportingInstance }: Event): string {
  const [component, host] = source?.component
    ? [source.component, source.host]
    : [reportingComponent, reportingInstance];
  return host ? `${component ?? ""}, ${host}` : (component ?? "");
}
