// Volumes: folders of the node with a name, `<dir>/<name>/_data`, and beside it what was said when they were made.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import type { Random } from "../../../lib/random.ts";
import { mountDevice, unmountBelow } from "../../volumes/mounts.ts";
import { makeId } from "../containers/names.ts";
import type { ContainerRecord } from "../containers/record.ts";
import { timeText } from "../containers/status-text.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, conflict, DockerProblem, notFound } from "../http/problem.ts";
import { type DriverOptions, parseDriverOptions } from "./driver-options.ts";

export interface Volume {
  readonly name: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Made without a name. */
  readonly anonymous: boolean;
  /** Of the local driver. */
  readonly options?: DriverOptions;
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
  /** Containers that have asked for it to be mounted, and what is being done about it. */
  readonly #users = new Map<string, Set<string>>();
  readonly #turns = new Map<string, Promise<void>>();

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
    const options = parseDriverOptions(body.object("DriverOpts"));
    if (body.object("ClusterVolumeSpec").keys().length > 0)
      throw badRequest("ClusterVolumeSpec is not supported by Naru");
    return this.ensure(body.text("Name"), { labels: body.textMap("Labels"), options }).volume;
  }

  /** The volume of this name, made when absent; "" makes one without a name. */
  ensure(
    wanted: string,
    { labels = {}, options = {} }: Partial<Pick<Volume, "labels" | "options">> = {},
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
    const createdAtMs = this.#options.clock.now();
    const volume: Volume = { name, createdAtMs, labels: { ...extra, ...labels }, anonymous, options };
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

  /** With what its options say mounted at its place; `user` holds it there until it lets go. */
  mount(name: string, user: string): Promise<void> {
    const { type, o = "", device } = this.#volumes.get(name)?.options ?? {};
    if (type === undefined || device === undefined) return Promise.resolve();
    this.#users.set(name, new Set([...(this.#users.get(name) ?? []), user]));
    return this.#inTurn(name, async () => {
      const path = this.pathOf(name);
      await mountDevice(path, { type, options: o, device }).catch((cause: Error) => {
        throw new DockerProblem(
          500,
          `failed to mount local volume: mount ${device}:${path}, flags: ${o}: ${cause.message}`,
          { cause },
        );
      });
    });
  }

  /** The last one that lets go unmounts. */
  async release(names: readonly string[], user: string): Promise<void> {
    for (const name of new Set(names)) {
      if (this.#volumes.get(name)?.options?.type === undefined) continue;
      this.#users.get(name)?.delete(user);
      await this.#inTurn(name, async () => {
        if (!this.#isHeld(name, user)) await unmountBelow(this.pathOf(name));
      });
    }
  }

  #isHeld(name: string, user: string): boolean {
    // Those that ran when the agent began are in nobody's set.
    const runs = this.usersOf(name).some(({ id, phase }) => id !== user && phase === "running");
    return runs || (this.#users.get(name)?.size ?? 0) > 0;
  }

  async #inTurn(name: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(work);
    const settled = turn.catch(() => {});
    this.#turns.set(name, settled);
    await turn;
  }

  async remove(name: string): Promise<void> {
    const volume = this.find(name);
    const users = this.usersOf(name);
    if (users.length > 0)
      throw conflict(`remove ${name}: volume is in use - [${users.map(({ id }) => id).join(", ")}]`);
    // What is mounted there is not the volume's own.
    if (volume.options?.type !== undefined) await unmountBelow(this.pathOf(name));
    this.#users.delete(name);
    this.#turns.delete(name);
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
      Options: Object.keys(volume.options ?? {}).length === 0 ? null : volume.options,
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
