// Users of a container that are others on the host: of its user namespace, or of a single mount.
// Source: OCI runtime specification, config-linux.md, User namespace mappings; config.md, Mounts.
import type { LaunchOp } from "../runtime/launch-op.ts";
import type { Mount } from "../runtime/runtime.ts";
import { ConfigError, type Fields } from "./fields.ts";

interface IdRange {
  readonly containerId: number;
  readonly hostId: number;
  readonly size: number;
}

export interface Users {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** As the kernel takes them, user_namespaces(7). */
const rangesMax = 340;
const idMax = 2 ** 32 - 2;

/** Undefined where nothing is mapped. */
export function parseUsers(fields: Fields): Users | undefined {
  const [uids, gids] = [parseRanges(fields, "uidMappings"), parseRanges(fields, "gidMappings")];
  if (uids.length === 0 && gids.length === 0) return undefined;
  if (uids.length === 0) throw fields.wrong("uidMappings", "gidMappings are there, so they are needed");
  if (gids.length === 0) throw fields.wrong("gidMappings", "uidMappings are there, so they are needed");
  return { uids, gids };
}

function parseRanges(fields: Fields, name: string): readonly IdRange[] {
  const ranges = fields.objects(name, (range) => {
    const id = (field: string, least: number) => {
      const value = range.whole(field) ?? 0;
      if (value < least || value > idMax) throw range.wrong(field, `${value}, ${least} to ${idMax} is expected`);
      return value;
    };
    return { containerId: id("containerID", 0), hostId: id("hostID", 0), size: id("size", 1) };
  });
  if (ranges.length > rangesMax) throw fields.wrong(name, `${ranges.length}, the kernel takes ${rangesMax}`);
  return ranges;
}

/** What /proc/<pid>/uid_map says and takes. */
export function mapText(ranges: readonly IdRange[]): string {
  return ranges.map(({ containerId, hostId, size }) => `${containerId} ${hostId} ${size}\n`).join("");
}

export function parseMapText(text: string): readonly IdRange[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [containerId = 0, hostId = 0, size = 0] = line.trim().split(/\s+/).map(Number);
    return { containerId, hostId, size };
  });
}

/** The same user or group on the host. Throws ConfigError when there is none. */
export function hostId(ranges: readonly IdRange[], id: number, field: string): number {
  const range = ranges.find(({ containerId, size }) => id >= containerId && id < containerId + size);
  if (range === undefined) throw new ConfigError(`${field}: ${id} is not among the users of the user namespace`);
  return range.hostId + id - range.containerId;
}

/** Whose is what the runtime makes in the container: root's, if there is one, else the first's. */
export function ownerOf({ uids, gids }: Users): readonly [uid: number, gid: number] {
  const first = (ranges: readonly IdRange[]) =>
    (ranges.find(({ containerId }) => containerId === 0) ?? ranges[0])?.hostId ?? 0;
  return [first(uids), first(gids)];
}

/** Options that name users, as the host's root has to write them. */
export function mapMount(mount: Mount, users: Users | undefined): Mount {
  if (users === undefined || (mount.type !== "tmpfs" && mount.type !== "devpts")) return mount;
  const mapped = mount.options.map((option) => {
    const [, name, id] = /^([ug]id)=(\d+)$/.exec(option) ?? [];
    if (name === undefined) return option;
    return `${name}=${hostId(name === "uid" ? users.uids : users.gids, Number(id), `mount ${mount.destination}: ${name}`)}`;
  });
  const [uid, gid] = ownerOf(users);
  const missing = [`uid=${uid}`, `gid=${gid}`].filter((owner) => {
    const name = owner.slice(0, 4);
    return !mapped.some((option) => option.startsWith(name));
  });
  return { ...mount, options: [...mapped, ...missing] };
}

/** Its own users of a mount get a number; those without are the container's. */
export function planMountUsers(mounts: readonly { readonly users?: Users }[]): readonly LaunchOp[] {
  return mounts.flatMap(({ users }) =>
    users === undefined ? [] : [["mount-users", mapText(users.uids), mapText(users.gids)] satisfies LaunchOp],
  );
}
