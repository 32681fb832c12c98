// Volumes: folders of the node with a name, `<dir>/<name>/_data`, and beside it what was said when they were made.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import type { Random } from "../../../lib/random.ts";
import { makeId } from "../containers/names.ts";
import type { ContainerRecord } from "../containers/record.ts";
import { timeText } from "../containers/status-text.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, conflict, notFound } from "../http/problem.ts";

export interface Volume {
  readonly name: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Made without a name. */
  readonly anonymous: boolean;
}

export interface VolumesOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly containers: () => readonly ContainerRecord[];
}

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const recordName = "volume.json";

export class Volumes {
  readonly #options: VolumesOptions;
  readonly #volumes = new Map<string, Volume>();

  constructor(options: VolumesOptions) {
    this.#options = options;
    mkdirSync(options.dir, { recursive: true, mode: 0o711 });
    for (const name of readdirSync(options.dir)) {
      const path = join(options.dir, name, recordName);
      if (existsSync(path)) this.#volumes.set(name, JSON.parse(readFileSync(path, "utf8")) as Volume);
      // Killed before it was made, or while it was removed.
      else rmSync(join(options.dir, name), { recursive: true, force: true });
    }
  }

  list(): readonly Volume[] {
    return [...this.#volumes.values()];
  }

  find(name: string): Volume {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  /** The folder that containers see. */
  pathOf(name: string): string {
    return join(this.#options.dir, name, "_data");
  }

  create(body: JsonObject): Volume {
    const driver = body.text("Driver");
    if (driver !== "" && driver !== "local")
      throw notFound(`error looking up volume plugin ${driver}: plugin "${driver}" not found`);
    if (body.object("DriverOpts").keys().length > 0)
      throw badRequest(
        `DriverOpts: options of the local driver (${body.object("DriverOpts").keys().join(", ")}) are not supported by Naru; use a bind mount`,
      );
    if (body.object("ClusterVolumeSpec").keys().length > 0)
      throw badRequest("ClusterVolumeSpec is not supported by Naru");
    return this.ensure(body.text("Name"), body.textMap("Labels")).volume;
  }

  /** The volume of this name, made when absent; "" makes one without a name. */
  ensure(
    wanted: string,
    labels: Readonly<Record<string, string>> = {},
  ): { readonly volume: Volume; readonly made: boolean } {
    const known = this.#volumes.get(wanted);
    if (known !== undefined) return { volume: known, made: false };
    const anonymous = wanted === "";
    const name = anonymous ? makeId(this.#options.random) : wanted;
    if (!namePattern.test(name))
      throw badRequest(
        `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed`,
      );
    const extra = anonymous ? { "com.docker.volume.anonymous": "" } : {};
    const volume: Volume = { name, createdAtMs: this.#options.clock.now(), labels: { ...extra, ...labels }, anonymous };
    mkdirSync(this.pathOf(name), { recursive: true, mode: 0o755 });
    const path = join(this.#options.dir, name, recordName);
    writeFileSync(`${path}.new`, JSON.stringify(volume), { flush: true });
    renameSync(`${path}.new`, path);
    this.#volumes.set(name, volume);
    return { volume, made: true };
  }

  usersOf(name: string): readonly ContainerRecord[] {
    return this.#options
      .containers()
      .filter(({ mounts }) => mounts.some((mount) => mount.Type === "volume" && mount.Name === name));
  }

  remove(name: string): void {
    const volume = this.find(name);
    const users = this.usersOf(name);
    if (users.length > 0)
      throw conflict(`remove ${name}: volume is in use - [${users.map(({ id }) => id).join(", ")}]`);
    rmSync(join(this.#options.dir, volume.name, recordName), { force: true });
    rmSync(join(this.#options.dir, volume.name), { recursive: true, force: true });
    this.#volumes.delete(name);
  }

  show(volume: Volume): Readonly<Record<string, unknown>> {
    return {
      CreatedAt: timeText(volume.createdAtMs),
      Driver: "local",
      Labels: Object.keys(volume.labels).length === 0 ? null : volume.labels,
      Mountpoint: this.pathOf(volume.name),
      Name: volume.name,
      Options: null,
      Scope: "local",
    };
  }

  sizeOf(name: string): Promise<number> {
    return folderBytes(this.pathOf(name));
  }
}

/** What lies below, links not followed; what vanishes meanwhile counts nothing. */
export async function folderBytes(path: string): Promise<number> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    const own = join(path, entry.name);
    if (entry.isDirectory()) bytes += await folderBytes(own);
    else bytes += (await lstat(own).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}
