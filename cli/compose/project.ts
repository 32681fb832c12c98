// Reads the Compose project that a command means, and tells what was found in it.
import { existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, dirname, join, relative, resolve } from "node:path";
import { type Conversion, convertCompose } from "../../compose/convert.ts";
import { parseEnvFile } from "../../compose/env-file.ts";
import type { Variables } from "../../compose/interpolate.ts";
import { loadCompose } from "../../compose/load.ts";
import type { MapNode } from "../../compose/nodes.ts";
import type { Finding } from "../../compose/read.ts";
import { red, yellow } from "../terminal.ts";

export interface ProjectOptions {
  /** Files; those with the usual names when there are none. */
  readonly files: readonly string[];
  readonly projectName?: string;
  readonly namespace?: string;
  readonly profiles: readonly string[];
  readonly envFiles: readonly string[];
  /** Only what is wrong is told, not what is left out or done otherwise. */
  readonly quiet?: boolean;
}

/** What a file stands for, and the file itself: its parts put together, its variables replaced. */
export interface Project extends Conversion {
  readonly file: MapNode;
}

const usualNames = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const bytesMax = 16 * 1024 * 1024;

/** Prints notices; throws when there are errors, after printing each with its place. */
export function readProject(options: ProjectOptions): Project {
  const files = (options.files.length > 0 ? options.files : usualFiles(options.envFiles)).map((path) => resolve(path));
  const loaded = loadCompose(files, {
    readText,
    variables: environment(),
    profiles: options.profiles,
    ...(options.envFiles.length === 0 ? {} : { envFiles: options.envFiles.map((path) => resolve(path)) }),
  });
  const projectName = options.projectName ?? loaded.variables["COMPOSE_PROJECT_NAME"];
  const conversion = convertCompose(loaded, {
    readText,
    ...(projectName === undefined ? {} : { projectName }),
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
  });
  // An anchor's content is read wherever it is used.
  const told = conversion.findings.filter(({ severity }) => severity === "error" || options.quiet !== true);
  for (const text of new Set(told.map(wording))) console.error(text);
  const errors = conversion.findings.filter(({ severity }) => severity === "error").length;
  if (errors > 0) throw new Error(`${errors === 1 ? "this" : `these ${errors} errors`} must be put right first`);
  return { ...conversion, file: loaded.root };
}

/** Whether the file's text is a Compose file and not objects of the cluster. */
export function isComposeText(text: string): boolean {
  return /^services:/m.test(text) && !/^(?:apiVersion|kind):/m.test(text);
}

function wording({ severity, place: { file, line, column }, message }: Finding): string {
  const title = severity === "error" ? red("Error:") : yellow("Notice:");
  return `${title} ${relative("", file)}:${line}:${column}: ${message}`;
}

// Those that COMPOSE_FILE names, or the first of the usual names here or in a folder above, with its override.
function usualFiles(envFiles: readonly string[]): readonly string[] {
  const envTexts = (envFiles.length > 0 ? envFiles : [".env"]).map((path) => ({ path, text: readText(path) ?? "" }));
  const settings = Object.assign({}, ...envTexts.map(({ path, text }) => parseEnvFile(text, path, environment())));
  const { COMPOSE_FILE = "", COMPOSE_PATH_SEPARATOR = delimiter } = { ...settings, ...environment() } as Variables;
  if (COMPOSE_FILE !== "") return COMPOSE_FILE.split(COMPOSE_PATH_SEPARATOR).filter((path) => path !== "");
  const main = foldersUp(process.cwd())
    .flatMap((folder) => usualNames.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (main === undefined)
    throw new Error(`there is no ${usualNames[0]} in this folder or above it: name one with -f FILE`);
  const override = main.replace(/\.(ya?ml)$/, ".override.$1");
  return existsSync(override) ? [main, override] : [main];
}

function foldersUp(folder: string): readonly string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...foldersUp(above)];
}

function readText(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isFile()) return undefined;
  if (found.size > bytesMax) throw new Error(`${path} is larger than ${bytesMax} bytes`);
  return readFileSync(path, "utf8");
}

function environment(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
