// Records of containers on the disk: one folder each, written beside and renamed, so that a kill leaves the old one or the new one.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Logger } from "../../../lib/log.ts";
import { messageOf } from "../http/problem.ts";
import type { ContainerRecord } from "./record.ts";

const fileName = "container.json";

export class ContainerStore {
  readonly #directory: string;
  readonly #records = new Map<string, ContainerRecord>();
  /** Names of containers that are being made: of one that a kill leaves half-made nothing is known afterwards. */
  readonly #heldNames = new Set<string>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static open(directory: string, log: Logger): ContainerStore {
    const store = new ContainerStore(directory);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const id of readdirSync(directory)) {
      try {
        const record = JSON.parse(readFileSync(join(directory, id, fileName), "utf8")) as ContainerRecord;
        store.#records.set(id, record);
      } catch (error) {
        // Killed before it was whole, or while it was removed: nobody was told of it, or it was to go.
        log.warn({ container: id, error: messageOf(error) }, "a container's record cannot be read, it is removed");
        rmSync(join(directory, id), { recursive: true, force: true });
      }
    }
    return store;
  }

  /** For the files that belong to the container; exists as long as its record. */
  folder(id: string): string {
    return join(this.#directory, id);
  }

  /** Keeps a name for a container to come; false when another one has it. */
  holdName(name: string): boolean {
    if (this.isTaken(name)) return false;
    this.#heldNames.add(name);
    return true;
  }

  releaseName(name: string): void {
    this.#heldNames.delete(name);
  }

  isTaken(name: string): boolean {
    return this.#heldNames.has(name) || this.list().some((record) => record.name === name);
  }

  list(): readonly ContainerRecord[] {
    return [...this.#records.values()];
  }

  get(id: string): ContainerRecord | undefined {
    return this.#records.get(id);
  }

  /** "durable" outlasts a loss of power; what the runtime knows as well only has to outlast a kill. */
  put(record: ContainerRecord, how: "durable" | "quick"): void {
    const folder = this.folder(record.id);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, fileName);
    const file = openSync(`${path}.new`, "w", 0o600);
    try {
      writeSync(file, JSON.stringify(record));
      if (how === "durable" && !record.hostConfig.AutoRemove) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
    this.#records.set(record.id, record);
  }

  remove(id: string): void {
    // First what makes it a container: the rest is swept at the next start, should we be killed here.
    rmSync(join(this.folder(id), fileName), { force: true });
    rmSync(this.folder(id), { recursive: true, force: true });
    this.#records.delete(id);
  }
}
