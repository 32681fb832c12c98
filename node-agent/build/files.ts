// Files that steps take from: a context, a stage, an image. Paths have no first slash; "" is the root. What lies where is told by the
// confined helper, which reads and hashes each file once.
import type { Workshop } from "../images/workshop.ts";
import { cleanPath, isPattern, pathMatcher } from "./dockerfile/patterns.ts";

export interface FileRecord {
  readonly path: string;
  readonly kind: "file" | "directory" | "link" | "other";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Digest of a file's content, target of a link, else "". */
  readonly detail: string;
}

/** A place that files are taken from. */
export interface FileSource {
  /** For naru-unpack. */
  readonly root: string;
  /** What lies at a path and below it, in order; nothing when nothing does. A link is not followed. */
  below(path: string): Promise<readonly FileRecord[]>;
}

const kinds = { f: "file", d: "directory", l: "link", o: "other" } as const;
const linksMax = 40;

/** All files of a stage or an image. */
export function layersSource(workshop: Workshop, diffIds: readonly string[]): FileSource {
  const root = workshop.root(diffIds);
  return { root, below: async (path) => parseRecords(await workshop.run(["digest", root], [`${path}/`])) };
}

export function parseRecords(output: Buffer): readonly FileRecord[] {
  const words = output.toString().split("\0");
  const records: FileRecord[] = [];
  for (let at = 0; at + 1 < words.length; at += 2) {
    const [, kind = "o", mode = "0", uid = "0", gid = "0", size = "0", path = ""] =
      /^(\w) (\w+) (\d+) (\d+) (\d+) -?\d+ \d+ ([\s\S]*)$/.exec(words[at] ?? "") ?? [];
    records.push({
      path,
      kind: kinds[kind as keyof typeof kinds] ?? "other",
      mode: Number.parseInt(mode, 8),
      uid: Number(uid),
      gid: Number(gid),
      sizeBytes: Number(size),
      detail: words[at + 1] ?? "",
    });
  }
  return records;
}

/** What a source of COPY means: each match with all below it. A pattern that fits nothing gives nothing. */
export async function matchSource(source: FileSource, text: string): Promise<readonly (readonly FileRecord[])[]> {
  const path = cleanPath(text);
  if (!isPattern(path)) {
    const found = await followLink(source, path);
    return found.length === 0 ? [] : [found];
  }
  const lead = path.slice(0, Math.max(0, path.slice(0, path.search(/[*?[]/)).lastIndexOf("/")));
  const all = await source.below(lead);
  const fits = pathMatcher(path);
  // They are in order: what a directory holds comes right behind it.
  const matches = all.flatMap((top, at) => {
    if (!fits(top.path)) return [];
    let end = at + 1;
    while (all[end]?.path.startsWith(`${top.path}/`) === true) end++;
    return [all.slice(at, end)];
  });
  // What a link means is copied, not the link.
  return await Promise.all(
    matches.map(async (records) => (records[0]?.kind === "link" ? await followLink(source, records[0].path) : records)),
  );
}

async function followLink(source: FileSource, path: string): Promise<readonly FileRecord[]> {
  let at = path;
  for (let links = 0; links < linksMax; links++) {
    const found = await source.below(at);
    const [top] = found;
    if (top?.kind !== "link") return renamed(found, { from: at, to: path });
    const { detail } = top;
    at = cleanPath(detail.startsWith("/") ? detail : `${at.slice(0, at.lastIndexOf("/") + 1)}${detail}`);
  }
  return [];
}

/** A record whose content is somewhere else than its name says. */
export interface LinkedRecord extends FileRecord {
  readonly source?: string;
}

function renamed(
  records: readonly FileRecord[],
  { from, to }: { readonly from: string; readonly to: string },
): readonly LinkedRecord[] {
  if (from === to) return records;
  return records.map((record) => ({ ...record, path: `${to}${record.path.slice(from.length)}`, source: record.path }));
}
