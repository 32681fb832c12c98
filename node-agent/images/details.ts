// What can be told of an image from its record and its config's bytes. Pure.
import { toImage } from "./changes.ts";
import type { HistoryLine, ImageDetails } from "./library.ts";
import { isObject, parseConfig } from "./manifest.ts";
import type { ImageRecord, Records } from "./records.ts";

interface HistoryEntry {
  readonly created: string | undefined;
  readonly createdBy: string;
  readonly comment: string;
  readonly isEmpty: boolean;
}

export function toDetails(records: Records, record: ImageRecord, configBytes: Uint8Array): ImageDetails {
  const { platform } = parseConfig(configBytes, `config ${record.id}`);
  const raw: unknown = JSON.parse(Buffer.from(configBytes).toString());
  const body = isObject(raw) ? raw : {};
  return {
    ...toImage(records, record),
    platform,
    created: someText(body["created"]),
    author: someText(body["author"]) ?? "",
    comment: parseHistory(body).at(-1)?.comment ?? "",
    layers: record.layers.map((diffId) => ({ diffId, sizeBytes: records.layerBytes[diffId] ?? 0 })),
    manifestDigest: record.manifest,
    annotations: record.annotations ?? {},
    usedAtMs: record.usedAtMs,
    raw: body,
  };
}

/** Newest first. A history that does not fit the layers is a stranger's word: its lines have no sizes then. */
export function toHistory(details: ImageDetails): readonly HistoryLine[] {
  const entries = parseHistory(details.raw);
  const fits = entries.filter(({ isEmpty }) => !isEmpty).length === details.layers.length;
  let layer = 0;
  const lines = entries.map(({ created, createdBy, comment, isEmpty }) => ({
    id: undefined as string | undefined,
    created,
    createdBy,
    comment,
    tags: [] as readonly string[],
    sizeBytes: isEmpty || !fits ? 0 : (details.layers[layer++]?.sizeBytes ?? 0),
  }));
  const newest = lines.at(-1) ?? {
    created: details.created,
    createdBy: "",
    comment: "",
    sizeBytes: details.sizeBytes,
  };
  return [...lines.slice(0, -1), { ...newest, id: details.id, tags: details.tags }].toReversed();
}

function parseHistory(raw: Readonly<Record<string, unknown>>): readonly HistoryEntry[] {
  const { history } = raw;
  if (!Array.isArray(history)) return [];
  return history.filter(isObject).map((entry) => ({
    created: someText(entry["created"]),
    createdBy: someText(entry["created_by"]) ?? "",
    comment: someText(entry["comment"]) ?? "",
    isEmpty: entry["empty_layer"] === true,
  }));
}

function someText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
