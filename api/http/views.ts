// Encodes objects, lists and events the way the client wants to see them; the plain way reuses the cache's bytes.
import type { CachedItem } from "../cache/watch-cache.ts";
import type { Kind } from "../kinds/kind.ts";
import { apiVersionOf, type KubeObject } from "../kinds/resource.ts";
import type { JsonObject } from "../kinds/schema/schema.ts";
import { type IncludeObject, tableOf } from "../kinds/schema/table.ts";
import { ApiError } from "../kinds/status.ts";
import type { Written } from "../verbs/commit.ts";
import type { ListResult } from "../verbs/list.ts";
import type { View } from "./accept.ts";

export interface Viewing {
  readonly view: View;
  readonly kind: Kind;
  /** For ages: a watch's events come long after it began. */
  readonly now: () => number;
  readonly includeObject: IncludeObject;
}

/** From the query's includeObject; refuses with BadRequest. */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get("includeObject") ?? "";
  if (value === "") return "Metadata";
  if (value === "None" || value === "Metadata" || value === "Object") return value;
  throw new ApiError("BadRequest", `unrecognized includeObject value: ${JSON.stringify(value)}`);
}

export function encodeOne(viewing: Viewing, { object, item }: Written): Uint8Array {
  switch (viewing.view.as) {
    case "Table":
      return json(tableOf(viewing.kind, [object], { ...tableOptions(viewing), metadata: versionOf(object) }));
    case "PartialObjectMetadata":
    case "PartialObjectMetadataList":
      return json(partial(viewing, object));
    default:
      return item?.json ?? json(object);
  }
}

export function encodeList(viewing: Viewing, list: ListResult): Uint8Array {
  const metadata = listMetadata(list);
  switch (viewing.view.as) {
    case "Table": {
      const objects = list.items.map((item) => item.object);
      return json(tableOf(viewing.kind, objects, { ...tableOptions(viewing), metadata }));
    }
    case "PartialObjectMetadata":
    case "PartialObjectMetadataList":
      return json({
        kind: "PartialObjectMetadataList",
        apiVersion: `meta.k8s.io/${viewing.view.version}`,
        metadata,
        items: list.items.map((item) => partial(viewing, item.object)),
      });
    default:
      return concatenated(viewing.kind, metadata, list.items);
  }
}

/** One line of a watch response. `first`: only the first Table names its columns. */
export function encodeEvent(viewing: Viewing, type: string, object: KubeObject, first: boolean): Buffer {
  return Buffer.from(`${JSON.stringify({ type, object: eventObject(viewing, object, first) })}\n`);
}

function eventObject(viewing: Viewing, object: KubeObject, first: boolean): unknown {
  switch (viewing.view.as) {
    case "Table":
      return tableOf(viewing.kind, [object], {
        ...tableOptions(viewing),
        metadata: versionOf(object),
        ...(first ? {} : { withoutColumns: true as const }),
      });
    case "PartialObjectMetadata":
    case "PartialObjectMetadataList":
      return partial(viewing, object);
    default:
      return object;
  }
}

/** A bookmark: nothing but a version, in the shape of the view. */
export function encodeBookmark(viewing: Viewing, revision: number, initialEventsEnd: boolean): Buffer {
  const metadata = {
    resourceVersion: String(revision),
    creationTimestamp: null,
    ...(initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
  };
  const { resource } = viewing.kind;
  const object: JsonObject = { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
  if (viewing.view.as !== "Table")
    return line("BOOKMARK", viewing.view.as === "Object" ? object : partial(viewing, object));
  const table = tableOf(viewing.kind, [], {
    ...tableOptions(viewing),
    metadata: { resourceVersion: String(revision) },
  });
  // kubectl reads a bookmark's annotation from the one row's object.
  return line("BOOKMARK", { ...table, rows: [{ cells: [], object: partial(viewing, object) }] });
}

function line(type: string, object: unknown): Buffer {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}

function tableOptions({ now, includeObject, view }: Viewing) {
  return { nowMs: now(), includeObject, version: view.version };
}

function partial({ view }: Viewing, object: KubeObject | JsonObject): JsonObject {
  return {
    kind: "PartialObjectMetadata",
    apiVersion: `meta.k8s.io/${view.version}`,
    metadata: (object as KubeObject).metadata ?? {},
  };
}

function versionOf(object: KubeObject): JsonObject {
  return { resourceVersion: object.metadata?.resourceVersion ?? "" };
}

function listMetadata({ revision, continue: next, remaining }: ListResult): JsonObject {
  return {
    resourceVersion: String(revision),
    ...(next === undefined ? {} : { continue: next }),
    ...(remaining === undefined ? {} : { remainingItemCount: remaining }),
  };
}

const comma = Buffer.from(",");
const end = Buffer.from("]}");

function concatenated({ resource }: Kind, metadata: JsonObject, items: readonly CachedItem[]): Buffer {
  const head = { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata };
  const parts: Buffer[] = [Buffer.from(`${JSON.stringify(head).slice(0, -1)},"items":[`)];
  for (const [i, item] of items.entries()) {
    if (i > 0) parts.push(comma);
    parts.push(item.json);
  }
  parts.push(end);
  return Buffer.concat(parts);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
