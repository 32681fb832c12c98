// Where files that COPY and ADD take come to lie, and what that makes of a step's key. Pure.
import { createHash } from "node:crypto";
import { cleanPath } from "./dockerfile/patterns.ts";
import type { FileRecord, LinkedRecord } from "./files.ts";

export interface Placement {
  readonly from: string;
  /** Within the image, without a first slash. */
  readonly to: string;
  readonly record: FileRecord;
  /** When a directory is at `to`, the file goes into it. */
  readonly mayEnter: boolean;
}

export interface CopyPlan {
  /** Made, with those above them, before anything is copied. */
  readonly directories: readonly string[];
  readonly placements: readonly Placement[];
}

export interface Match {
  /** A source's top with all below it. */
  readonly records: readonly LinkedRecord[];
  /** Where the part of paths begins that the destination keeps; absent: it keeps no directories above the source. */
  readonly keptFrom?: number | undefined;
}

/** `destination` is absolute, its last slash says that it is a directory. */
export function planCopy(
  matches: readonly Match[],
  { destination, several }: { readonly destination: string; readonly several: boolean },
): CopyPlan {
  const target = destination
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
  const parents = matches.some(({ keptFrom }) => keptFrom !== undefined);
  const isDirectory = destination.endsWith("/") || destination.endsWith("/.") || target === "" || parents || several;
  const directories = new Set<string>();
  const placements: Placement[] = [];
  for (const { records, keptFrom } of matches) {
    const [top] = records;
    if (top === undefined) continue;
    if (isDirectory || top.kind === "directory") directories.add(target);
    for (const record of records) {
      if (record.kind === "other") continue;
      const name = keptFrom === undefined ? relative(record, top) : record.path.slice(keptFrom);
      const to = top.kind === "directory" || isDirectory ? joined(target, name) : target;
      if (record.kind === "directory" && to === target) continue;
      const mayEnter = record === top && top.kind !== "directory" && !isDirectory;
      placements.push({ from: record.source ?? record.path, to, record, mayEnter });
    }
  }
  if (placements.length > 0 && directories.size === 0 && target.includes("/"))
    directories.add(target.slice(0, target.lastIndexOf("/")));
  return { directories: [...directories].filter((path) => path !== ""), placements };
}

/** Of a source of --parents: "a/./b" keeps "b", as rsync has it; 0 where all is kept. */
export function pivotOf(source: string): number {
  const path = source.replace(/^(?:\.?\/)+/, "");
  const pivot = path.indexOf("/./");
  const above = pivot < 0 ? "" : cleanPath(path.slice(0, pivot));
  return above === "" ? 0 : above.length + 1;
}

/** Of what is copied where: names, kinds, permissions and content, never times. */
export function contentKey({ directories, placements }: CopyPlan): string {
  const hash = createHash("sha256");
  for (const directory of directories) hash.update(`${directory}\0`);
  for (const { to, record, mayEnter } of placements)
    hash.update(`${to}\0${record.kind} ${record.mode.toString(8)} ${mayEnter}\0${record.detail}\0`);
  return hash.digest("hex");
}

// A directory's content goes to the destination, a file goes by its own name.
function relative(record: FileRecord, top: FileRecord): string {
  if (top.kind !== "directory") return record.path.slice(record.path.lastIndexOf("/") + 1);
  return top.path === "" ? record.path : record.path.slice(top.path.length + 1);
}

function joined(directory: string, name: string): string {
  return directory === "" || name === "" ? `${directory}${name}` : `${directory}/${name}`;
}
