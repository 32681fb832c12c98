// Images as `images`, `inspect` and `history` show them. Pure.
import type { Image } from "../../images/images.ts";
import type { HistoryLine, ImageDetails } from "../../images/library.ts";
import { familiarName } from "./names.ts";

export function summarizeImage(
  details: ImageDetails,
  containers: number,
  sharedBytes: number,
): Readonly<Record<string, unknown>> {
  return {
    Id: details.id,
    ParentId: "",
    RepoTags: details.tags.map(familiarName),
    RepoDigests: details.digests.map(familiarName),
    Created: Math.floor(createdMs(details) / 1000),
    Size: details.sizeBytes,
    SharedSize: sharedBytes,
    Labels: Object.keys(details.config.labels).length === 0 ? null : details.config.labels,
    Containers: containers,
  };
}

export function inspectImage(details: ImageDetails): Readonly<Record<string, unknown>> {
  const { os, architecture, variant } = details.platform;
  return {
    Id: details.id,
    RepoTags: details.tags.map(familiarName),
    RepoDigests: details.digests.map(familiarName),
    Parent: "",
    Comment: details.comment,
    Created: details.created ?? "0001-01-01T00:00:00Z",
    DockerVersion: "",
    Author: details.author,
    Config: details.raw["config"] ?? {},
    Architecture: architecture,
    ...(variant === undefined ? {} : { Variant: variant }),
    Os: os,
    Size: details.sizeBytes,
    VirtualSize: details.sizeBytes,
    GraphDriver: { Name: "overlay2", Data: {} },
    RootFS: { Type: "layers", Layers: details.layers.map(({ diffId }) => diffId) },
    Metadata: { LastTagTime: "0001-01-01T00:00:00Z" },
  };
}

export function showHistory(lines: readonly HistoryLine[]): readonly unknown[] {
  return lines.map((line) => ({
    Id: line.id ?? "<missing>",
    Created: line.created === undefined ? 0 : Math.floor(Date.parse(line.created) / 1000),
    CreatedBy: line.createdBy,
    Tags: line.tags.length === 0 ? null : line.tags.map(familiarName),
    Size: line.sizeBytes,
    Comment: line.comment,
  }));
}

export function createdMs({ created }: Pick<ImageDetails, "created">): number {
  const ms = created === undefined ? 0 : Date.parse(created);
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

/** Neither a tag nor an older one's digest: nobody can name it but by its id. */
export function isDangling({ tags }: Image): boolean {
  return tags.length === 0;
}
