// What is known of a container between two commands: a directory below --root with its config and a record of its first process.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, type ProcessIdentity, readOptional } from "../runtime/container-directory.ts";
import { type OciConfig, parseConfig } from "./config.ts";

export const ociVersion = "1.3.0";
const idBytesMax = 1024;

export interface ContainerRecord {
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  readonly createdAt: string;
  /** Absent while it is being created. */
  readonly process?: ProcessIdentity;
  readonly cgroupPath: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export type Status = "creating" | "created" | "running" | "paused" | "stopped";

/** The container's directory. */
export function directoryOf(root: string, id: string): string {
  if (!/^[\w+.-]+$/.test(id) || id === "." || id === ".." || id.length > idBytesMax)
    throw new Error(`container id ${JSON.stringify(id)}: letters, digits and _ + - . are expected`);
  return join(root, id);
}

/** Where the process listens until it is started. */
export function startSocketOf(directory: string): string {
  return join(directory, "start");
}

export function makeDirectory(root: string, id: string): string {
  const directory = directoryOf(root, id);
  mkdirSync(root, { recursive: true, mode: 0o700 });
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new Error(`container ${id} exists already`);
  }
  return directory;
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** The bundle may change while the container runs. */
export function saveConfig(directory: string, text: string): void {
  writeFileSync(join(directory, "config.json"), text, { mode: 0o600 });
}

export function readConfig(directory: string, record: ContainerRecord): OciConfig {
  return parseConfig(JSON.parse(readFileSync(join(directory, "config.json"), "utf8")), record.bundle);
}

/** Whole or not at all. */
export function saveRecord(directory: string, record: ContainerRecord): void {
  const path = join(directory, "record.json");
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function readRecord(root: string, id: string): ContainerRecord {
  const text = readOptional(join(directoryOf(root, id), "record.json"));
  // The words that callers of OCI runtimes look for.
  if (text === undefined) throw new Error(`container ${id} does not exist`);
  return JSON.parse(text) as ContainerRecord;
}

export function listRecords(root: string): readonly ContainerRecord[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((id) => existsSync(join(root, id, "record.json")))
    .map((id) => readRecord(root, id))
    .toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
}

/** "paused" is the caller's to find out. */
export function statusOf(root: string, { id, process }: ContainerRecord): Exclude<Status, "paused"> {
  if (process === undefined) return "creating";
  if (!isAlive(process)) return "stopped";
  return existsSync(startSocketOf(directoryOf(root, id))) ? "created" : "running";
}

export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: Status;
  readonly pid?: number;
  readonly bundle: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The specification's state. */
export function stateOf(record: ContainerRecord, status: Status): State {
  const { id, bundle, annotations } = record;
  const named = Object.keys(annotations).length > 0;
  return {
    ociVersion,
    id,
    status,
    ...(status === "stopped" ? {} : { pid: record.process?.pid ?? 0 }),
    bundle,
    ...(named ? { annotations } : {}),
  };
}

/** The same for a program that is told its pid by who runs it: what comes before the number, and behind it. */
export function stateAround(record: ContainerRecord, status: Status): readonly [string, string] {
  const { pid: _, ...rest } = stateOf(record, status);
  return [`${JSON.stringify(rest).slice(0, -1)},"pid":`, "}"];
}
