// Reads objects from files, folders and standard input; says file, line and column of what does not parse.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { LineCounter, parseAllDocuments } from "yaml";
import type { KubeObject } from "../api/kinds/resource.ts";
import type { Options } from "./command.ts";
import { isComposeText, readProject } from "./compose/project.ts";

export interface Manifest {
  /** "web.yaml:12": where the object begins. */
  readonly place: string;
  readonly object: KubeObject;
}

/** Of commands that read folders. */
export const recursiveOption: Options = {
  recursive: { type: "boolean", short: "R", help: "also the folders in a folder that -f names" },
};

const manifestBytesMax = 16 * 1024 * 1024;
const endings = new Set([".yaml", ".yml", ".json"]);

/**
 * `paths`: files, folders (every .yaml, .yml and .json in them, by name; of the folders in them too with `recursive`), or "-" for
 * standard input.
 */
export function readManifests(
  paths: readonly string[],
  { recursive = false }: { readonly recursive?: boolean } = {},
): readonly Manifest[] {
  return paths.flatMap((path) => {
    const source = path === "-" ? "stdin" : path;
    const found =
      path === "-" ? parseManifests(readFileSync(0, "utf8"), source) : filesOf(path, recursive).flatMap(readFile);
    if (found.length === 0) throw new Error(`${source}: there is no object in it`);
    return found;
  });
}

function readFile(path: string): readonly Manifest[] {
  const text = readFileSync(path, "utf8");
  if (!isComposeText(text)) return parseManifests(text, path);
  const { objects } = readProject({ files: [path], profiles: [], envFiles: [] });
  return objects.map((object) => ({ place: path, object }));
}

/** Objects of one text, List kinds taken apart. */
export function parseManifests(text: string, source: string): readonly Manifest[] {
  if (text.length > manifestBytesMax) throw new Error(`${source}: larger than ${manifestBytesMax} bytes`);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: true, maxAliasCount: 100 } as object);
  if (!Array.isArray(documents)) return [];
  // Of all documents first: whoever reads on after a broken one guesses.
  const error = documents.flatMap(({ errors }) => errors)[0];
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new Error(`${source}:${line}:${col}: ${error.message.split(" at line ")[0]}`);
  }
  return documents.flatMap((document) => {
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null || value === undefined) return [];
    return objectsOf(value, `${source}:${lines.linePos(document.contents?.range?.[0] ?? 0).line}`);
  });
}

function objectsOf(value: unknown, place: string): readonly Manifest[] {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(
      `${place}: expected an object with apiVersion and kind, got ${Array.isArray(value) ? "a list" : typeof value}`,
    );
  const object = value as KubeObject & { readonly items?: readonly unknown[] };
  if (typeof object.kind === "string" && object.kind.endsWith("List") && Array.isArray(object.items))
    return object.items.flatMap((item) => objectsOf(item, place));
  if (typeof object.apiVersion !== "string")
    throw new Error(`${place}: apiVersion is missing, such as "v1" or "apps/v1"`);
  if (typeof object.kind !== "string") throw new Error(`${place}: kind is missing, such as "Deployment"`);
  if (typeof object.metadata !== "object" || object.metadata === null)
    throw new Error(`${place}: metadata is missing; it takes at least a name`);
  return [{ place, object }];
}

function filesOf(path: string, recursive: boolean): readonly string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`${path}: there is no such file or folder`);
  if (!found.isDirectory()) return [path];
  const files = readdirSync(path, { recursive, encoding: "utf8" })
    .filter((name) => endings.has(extname(name)))
    .sort()
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile());
  if (files.length === 0)
    throw new Error(`${path} holds no .yaml, .yml or .json file${recursive ? "" : "; -R looks into its folders, too"}`);
  return files;
}
