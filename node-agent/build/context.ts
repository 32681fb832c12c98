// The files that a build was given: listed without what .dockerignore names, hashed only where a step asks for them.
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { PullError } from "../images/images.ts";
import { splitFiles } from "../images/layers.ts";
import type { Draft, Workshop } from "../images/workshop.ts";
import { type BuildContext, DockerfileError } from "./build.ts";
import { cleanPath, type Ignore, parseIgnore } from "./dockerfile/patterns.ts";
import { type FileRecord, type FileSource, parseRecords } from "./files.ts";

export interface OpenContext extends FileSource, AsyncDisposable {
  /** Where it lies on this machine. */
  readonly path: string;
  /** Undefined where there is none. */
  readTexts(paths: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** Called before the first listing. */
  ignore(text: string): void;
}

const start = { line: 1, column: 1 };

/** Rejects with DockerfileError or PullError when it is none. */
export async function openContext(
  workshop: Workshop,
  context: BuildContext,
  signal: AbortSignal,
): Promise<OpenContext> {
  if (context.type === "folder") {
    const path = await realpath(context.path).catch(() => context.path);
    const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
    if (!isFolder) throw new DockerfileError(`the context ${context.path} is no folder`, "build", start);
    return new Context(workshop, path, undefined);
  }
  const draft = await workshop.begin();
  try {
    await workshop.unpack(context.stream, `dir:${draft.upper}`, "", signal);
    return new Context(workshop, draft.upper, draft);
  } catch (error) {
    workshop.discard(draft);
    if (error instanceof PullError)
      throw new PullError(error.failure, `build context: ${error.message}`, { cause: error });
    throw error;
  }
}

class Context implements OpenContext {
  readonly path: string;
  readonly root: string;
  readonly #workshop: Workshop;
  readonly #draft: Draft | undefined;
  readonly #known = new Map<string, FileRecord>();
  #ignore: Ignore = parseIgnore("");
  #listing: Promise<readonly string[]> | undefined;

  constructor(workshop: Workshop, path: string, draft: Draft | undefined) {
    this.#workshop = workshop;
    this.#draft = draft;
    this.path = path;
    this.root = `dir:${path}`;
  }

  ignore(text: string): void {
    this.#ignore = parseIgnore(text);
  }

  async readTexts(paths: readonly string[]): Promise<readonly (string | undefined)[]> {
    const output = await this.#workshop.run(["files", this.root, ...paths.map(cleanPath)]);
    return splitFiles(output, paths.length).map((bytes) => bytes?.toString());
  }

  async below(path: string): Promise<readonly FileRecord[]> {
    this.#listing ??= this.#list("");
    const all = await this.#listing;
    const wanted = all.filter((each) => path === "" || each === path || each.startsWith(`${path}/`));
    const unknown = wanted.filter((each) => !this.#known.has(each));
    if (unknown.length > 0) {
      const records = parseRecords(await this.#workshop.run(["digest", this.root], unknown));
      for (const record of records) this.#known.set(record.path, record);
    }
    const found = wanted.flatMap((each) => this.#known.get(each) ?? []);
    return path === "" ? [rootRecord, ...found] : found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#draft !== undefined) this.#workshop.discard(this.#draft);
  }

  // In the order of a walk: a directory before what it holds.
  async #list(directory: string): Promise<readonly string[]> {
    const entries = await readdir(join(this.path, directory), { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const lists = await Promise.all(
      entries.map(async (entry): Promise<readonly string[]> => {
        const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
        const ignored = this.#ignore.ignores(path);
        if (!entry.isDirectory()) return ignored || entry.isSocket() ? [] : [path];
        if (ignored && !this.#ignore.mayHold(path)) return [];
        const below = await this.#list(path);
        return ignored && below.length === 0 ? [] : [path, ...below];
      }),
    );
    return lists.flat();
  }
}

const rootRecord: FileRecord = { path: "", kind: "directory", mode: 0o755, uid: 0, gid: 0, sizeBytes: 0, detail: "" };
