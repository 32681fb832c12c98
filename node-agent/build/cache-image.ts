// Steps' results as an image, so that they travel like any other: its layers are theirs, a label says which step made which.

import type { ImageLibrary } from "../images/library.ts";
import { isObject } from "../images/manifest.ts";
import { makeConfig } from "../images/new-config.ts";
import { formatReference, parseReference } from "../images/reference.ts";
import type { Workshop } from "../images/workshop.ts";
import type { BuildOptions } from "./build.ts";

const label = "naru.build-cache";
/** As many as an image may have. */
const layersMax = 127;

interface Entry {
  readonly diffId?: string;
  readonly createdMs: number;
}

export async function exportCache(workshop: Workshop, keys: ReadonlySet<string>, name: string): Promise<void> {
  const entries: Record<string, Entry> = {};
  const layers = new Set<string>();
  // The last steps are the ones that took the others to make.
  for (const key of [...keys].toReversed()) {
    const found = workshop.find(key);
    if (found === undefined || layers.size === layersMax) continue;
    const { diffId, createdMs } = found;
    if (diffId !== undefined) layers.add(diffId);
    entries[key] = { createdMs, ...(diffId === undefined ? {} : { diffId }) };
  }
  const created = "1970-01-01T00:00:00.000Z";
  using _held = workshop.hold([...layers]);
  const configBytes = makeConfig({
    config: { labels: { [label]: JSON.stringify(entries) } },
    history: [...layers].map((diffId) => ({ created, createdBy: "build cache", diffId })),
    created,
  });
  const tags = [formatReference(parseReference(name))];
  await workshop.commit({ configBytes, manifestBytes: undefined, tags, digests: [] });
}

/** What cannot be had or read is as if it were empty: a cache saves time and decides nothing. */
export async function importCache(
  images: ImageLibrary,
  workshop: Workshop,
  options: BuildOptions,
  signal: AbortSignal,
): Promise<void> {
  for (const name of options.cacheFrom ?? []) {
    const credentials = options.credentials?.(parseReference(name).registry) ?? [];
    const image =
      (await images.find(name)) ?? (await images.pull(name, { credentials, signal }).catch(() => undefined));
    signal.throwIfAborted();
    if (image === undefined) continue;
    const layers = new Set(workshop.record(image.id)?.layers);
    workshop.remember(readEntries(image.config.labels[label] ?? "", layers));
  }
}

function readEntries(text: string, layers: ReadonlySet<string>): Readonly<Record<string, Entry>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return {};
  }
  const entries: Record<string, Entry> = {};
  for (const [key, value] of Object.entries(isObject(parsed) ? parsed : {})) {
    if (!/^[a-f0-9]{64}$/.test(key) || !isObject(value)) continue;
    const { diffId, createdMs } = value;
    if (typeof createdMs !== "number" || !Number.isSafeInteger(createdMs) || Math.abs(createdMs) > 8.64e15) continue;
    if (diffId === undefined) entries[key] = { createdMs };
    else if (typeof diffId === "string" && layers.has(diffId)) entries[key] = { createdMs, diffId };
  }
  return entries;
}
