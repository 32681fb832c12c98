// Pods' storage on a real node. On disk: <data>/pods/<uid>; on a tmpfs: <run>/volumes/<uid>; logs: <data>/logs.
// What every pod has is made and removed in place, by calls of a few microseconds each: waiting for one costs ten times as much, and a
// pod would wait for thirty. What may be large, or slow, is waited for.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { mkdir, readdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Pod, Volume } from "../../api/kinds/generated/types.ts";
import { spreadDirectory } from "../../lib/spread-directory.ts";
import type { Images } from "../images/images.ts";
import { readMountinfo } from "../runtime/cgroup-files.ts";
import type { Mount } from "../runtime/runtime.ts";
import { volumeTypeOf } from "../volumes/list.ts";
import { isTmpfs, mountFileSystem, unmountBelow } from "../volumes/mounts.ts";
import { bytesBelow, type DiskUse, usageBelow } from "../volumes/usage.ts";
import { type MadeVolume, type VolumeContext, VolumeError } from "../volumes/volume-type.ts";
import { ConfigError } from "./container-env.ts";
import { fieldValue, resourceValue } from "./field-values.ts";
import { hostsFile, resolvConf } from "./hostname.ts";
import { containersOf } from "./pod-state.ts";
import { podResources } from "./resource-limits.ts";
import { onlyUser } from "./security.ts";
import type { PodStorage, SavedObject, StorageContext } from "./storage.ts";
import { readTerminationMessage } from "./termination-message.ts";
import { freeRange, parseRange } from "./user-ranges.ts";
import { volumeMounts } from "./volume-mounts.ts";

export interface DiskStorageOptions {
  readonly dataDir: string;
  readonly runDir: string;
  /** For image volumes. */
  readonly images: Pick<Images, "prepareLayer" | "removeLayer" | "layerPath">;
}

/** Makes its folders, and a tmpfs below `runDir` unless that is on one. */
export async function openDiskStorage({ dataDir, runDir, images }: DiskStorageOptions): Promise<PodStorage> {
  const podsDir = join(dataDir, "pods");
  const memoryRoot = join(runDir, "volumes");
  const logsDir = join(dataDir, "logs");
  const localVolumesDir = join(dataDir, "volumes");
  for (const dir of [podsDir, memoryRoot, logsDir, localVolumesDir]) await mkdir(dir, { recursive: true, mode: 0o700 });
  if (!(await isTmpfs(memoryRoot))) await mountFileSystem("tmpfs", memoryRoot, { mode: "0700" });
  const statusDir = join(memoryRoot, ".status");
  await mkdir(statusDir, { recursive: true, mode: 0o700 });
  await Promise.all([podsDir, logsDir].map(spreadDirectory));
  // The containers' users must be able to walk to what is mounted from below; names and modes there guard the rest.
  const hostResolvConf = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
  const hostHosts = await readFile("/etc/hosts", "utf8").catch(() => "");

  const ranges = new Map<string, number>();
  for (const uid of await readdir(podsDir)) {
    const range = parseRange(await readFile(join(podsDir, uid, "users"), "utf8").catch(() => ""));
    if (range !== undefined) ranges.set(uid, range.hostId);
  }
  const savings = new Map<string, Promise<void>>();
  /** As it was last written to the disk. */
  const checkpoints = new Map<string, Pod>();
  const podDir = (uid: string) => join(podsDir, checkName(uid));
  const logDir = (pod: Pod) => join(logsDir, checkName(logName(pod)));
  const terminationPath = (uid: string, container: string, attempt: number) =>
    join(podDir(uid), `termination.${checkName(container)}.${attempt}`);
  const statusPath = (uid: string) => join(statusDir, checkName(uid));
  const volumeContext = (
    pod: Pod,
    volume: Volume,
    { fields, lookup, image, serviceAccountToken }: StorageContext,
  ): VolumeContext => {
    const uid = uidOf(pod);
    const namespace = pod.metadata?.namespace ?? "default";
    return {
      pod,
      volume,
      dir: join(podDir(uid), "volumes", checkName(volume.name)),
      memoryDir: join(memoryRoot, checkName(uid), checkName(volume.name)),
      configMap: (name) => lookup.configMap(namespace, name),
      secret: (name) => lookup.secret(namespace, name),
      claim: (name) => lookup.claim(namespace, name),
      persistentVolume: (name) => lookup.persistentVolume(name),
      localVolumesDir,
      fsGroup: pod.spec?.securityContext?.fsGroup,
      fsUser: onlyUser(pod),
      memoryBytesMax: podResources(pod).memoryBytesMax,
      serviceAccountToken,
      imageRoot: async () => {
        if (pod.spec?.hostUsers === false)
          throw new VolumeError(
            "users of an image's files cannot be mapped: a pod with hostUsers: false takes no image volume",
          );
        const { rootfs } = await images.prepareLayer(volumeLayer(uid, volume.name), await image(volume));
        return readOnlyRoot(rootfs);
      },
      downwardText: ({ fieldRef, resourceFieldRef, path }) => {
        const container = containersOf(pod).find(
          (one) => one.container.name === resourceFieldRef?.containerName,
        )?.container;
        const text =
          fieldRef !== undefined
            ? fieldValue(fieldRef.fieldPath, fields)
            : resourceFieldRef !== undefined && container !== undefined
              ? resourceValue(resourceFieldRef.resource, resourceFieldRef.divisor, container, fields.node)
              : undefined;
        if (text === undefined) throw new VolumeError(`downwardAPI file ${path}: unsupported field or container`);
        return text;
      },
    };
  };
  // What set-up made; a container asks for it by name. Made again after a restart of the agent.
  const made = new Map<string, ReadonlyMap<string, MadeVolume>>();

  const setUpVolume = async (
    pod: Pod,
    volume: Volume,
    context: StorageContext,
  ): Promise<readonly [string, MadeVolume]> => {
    try {
      return [volume.name, await volumeTypeOf(volume).setUp(volumeContext(pod, volume, context))];
    } catch (cause) {
      throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${messageOf(cause)}`, { cause });
    }
  };

  const storage: PodStorage = {
    setUp: async (pod, context) => {
      const dir = podDir(uidOf(pod));
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const ips = context.fields.podIps;
      writeFileSync(join(dir, "hosts"), hostsFile(pod, { ...context.names, ips }, hostHosts));
      writeFileSync(join(dir, "hostname"), `${context.names.kernelName}\n`);
      writeFileSync(join(dir, "resolv.conf"), resolvConf(pod, context.resolvConf, hostResolvConf));
      const volumes = await Promise.all((pod.spec?.volumes ?? []).map((volume) => setUpVolume(pod, volume, context)));
      made.set(uidOf(pod), new Map(volumes));
    },

    userRange: async (pod) => {
      mkdirSync(podDir(uidOf(pod)), { recursive: true, mode: 0o700 });
      const path = join(podDir(uidOf(pod)), "users");
      const noted = parseRange(await readFile(path, "utf8").catch(() => ""));
      const range = noted ?? freeRange(new Set(ranges.values()), dataDir);
      if (range === undefined) throw new VolumeError("no users of the host are left for a pod with users of its own");
      ranges.set(uidOf(pod), range.hostId);
      if (noted === undefined) await writeFile(path, `${range.hostId}\n`, { mode: 0o600 });
      return range;
    },

    refresh: async (pod, context) => {
      for (const volume of pod.spec?.volumes ?? []) {
        const type = volumeTypeOf(volume);
        await type.refresh?.(volumeContext(pod, volume, context));
      }
    },

    containerMounts: async (pod, container, { attempt, env }) => {
      const dir = podDir(uidOf(pod));
      const termination = terminationPath(uidOf(pod), container.name, attempt);
      writeFileSync(termination, "", { flag: "a" });
      // A container that runs as some other user may write why it ended.
      chmodSync(termination, 0o666);
      const volumes = made.get(uidOf(pod)) ?? new Map();
      const mounts = volumeMounts(container, { volumes, env, mountinfo: readMountinfo });
      const mounted = new Set((container.volumeMounts ?? []).map(({ mountPath }) => mountPath));
      const files: readonly Mount[] = [
        bind(join(dir, "hosts"), "/etc/hosts"),
        bind(join(dir, "resolv.conf"), "/etc/resolv.conf"),
        bind(join(dir, "hostname"), "/etc/hostname"),
        bind(termination, container.terminationMessagePath ?? "/dev/termination-log"),
      ].filter(({ destination }) => !mounted.has(destination));
      return [...files, ...mounts];
    },

    terminationMessage: async (pod, container, { attempt, failed }) =>
      readTerminationMessage({
        path: terminationPath(uidOf(pod), container.name, attempt),
        logPath:
          failed && container.terminationMessagePolicy === "FallbackToLogsOnError"
            ? storage.logPath(pod, container.name, attempt)
            : undefined,
      }),

    freeBytes: async () => {
      const { bavail, bsize } = await statfs(podsDir);
      return bavail * bsize;
    },

    volumeBytes: (pod, volumeName, bytesMax) =>
      bytesBelow(join(podDir(uidOf(pod)), "volumes", checkName(volumeName)), bytesMax),

    containerBytes: async (pod, { name, id }, bytesMax) => {
      const logs = await bytesBelow(join(logDir(pod), checkName(name)), bytesMax);
      const layer = images.layerPath(id);
      return layer === undefined || logs > bytesMax ? logs : logs + (await bytesBelow(layer, bytesMax));
    },

    diskUse: async (pod, containers, inodesMax) => {
      const max = { bytes: Number.POSITIVE_INFINITY, inodes: inodesMax };
      const below = async (...paths: readonly (string | undefined)[]) => {
        let sum = { bytes: 0, inodes: 0 };
        for (const path of paths) {
          if (path === undefined || sum.inodes > inodesMax) continue;
          const { bytes, inodes } = await usageBelow(path, max);
          sum = { bytes: sum.bytes + bytes, inodes: sum.inodes + inodes };
        }
        return sum;
      };
      const volumes = (pod.spec?.volumes ?? []).filter(({ emptyDir }) => emptyDir !== undefined);
      const uses: DiskUse[] = [];
      for (const { name, id } of containers)
        uses.push(await below(images.layerPath(id), join(logDir(pod), checkName(name))));
      return {
        containers: uses,
        volumes: await below(...volumes.map(({ name }) => join(podDir(uidOf(pod)), "volumes", checkName(name)))),
      };
    },

    logPath: (pod, containerName, attempt) => join(logDir(pod), checkName(containerName), `${attempt}.log`),

    removeRunsBefore: async (pod, containerName, attempt) => {
      const dir = join(logDir(pod), checkName(containerName));
      for (const name of await readdir(dir).catch(() => [])) {
        if (Number.parseInt(name, 10) < attempt) await rm(join(dir, name), { force: true });
      }
      await rm(terminationPath(uidOf(pod), containerName, attempt - 1), { force: true });
    },

    removeVolumes: async (uid) => {
      made.delete(uid);
      const memoryDir = join(memoryRoot, checkName(uid));
      const dir = join(podDir(uid), "volumes");
      const folders = [dir, memoryDir].filter((folder) => existsSync(folder));
      if (folders.length === 0) return;
      // Also what containers mounted into shared volumes: nothing that is mounted may be emptied.
      await unmountBelow(memoryDir, podDir(uid));
      for (const name of folders.flatMap((folder) => readdirSync(folder)))
        await images.removeLayer(volumeLayer(uid, name));
      // In memory there is but what this agent wrote; on the disk what containers did.
      rmSync(memoryDir, { recursive: true, force: true });
      if (folders.includes(dir)) await rm(dir, { recursive: true, force: true });
    },

    remove: async (pod) => {
      ranges.delete(uidOf(pod));
      await storage.removeVolumes(uidOf(pod));
      rmSync(logDir(pod), { recursive: true, force: true });
      rmSync(podDir(uidOf(pod)), { recursive: true, force: true });
      rmSync(statusPath(uidOf(pod)), { force: true });
      checkpoints.delete(uidOf(pod));
    },

    saveCheckpoint: async (pod) => {
      const dir = podDir(uidOf(pod));
      // What was asked of others just now goes out first: they work meanwhile.
      await nextTurn();
      const known = checkpoints.get(uidOf(pod));
      if (known === undefined) {
        for (const { container } of containersOf(pod))
          mkdirSync(join(logDir(pod), checkName(container.name)), { recursive: true, mode: 0o700 });
        mkdirSync(dir, { recursive: true, mode: 0o700 });
      }
      // Its status changes a few times while it starts: that is noted in memory, which outlives this agent, not the machine.
      if (known?.spec === pod.spec && known?.metadata === pod.metadata) {
        if (pod.status !== undefined) replaceFile(statusPath(uidOf(pod)), JSON.stringify(pod.status));
        return;
      }
      // Not synced: after a crash of the machine nothing of the pod runs, and the server tells of it again.
      replaceFile(join(dir, "pod.json"), JSON.stringify(pod));
      rmSync(statusPath(uidOf(pod)), { force: true });
      checkpoints.set(uidOf(pod), pod);
    },

    loadCheckpoints: async () => {
      const pods: Pod[] = [];
      for (const uid of await readdir(podsDir)) {
        const text = await readFile(join(podsDir, uid, "pod.json"), "utf8").catch(() => undefined);
        const pod = text === undefined ? undefined : parse<Pod>(text);
        const noted = await readFile(statusPath(uid), "utf8").catch(() => undefined);
        const status = (noted === undefined ? undefined : parse<Pod["status"]>(noted)) ?? pod?.status;
        if (pod !== undefined && uidOf(pod) === uid) pods.push(status === undefined ? pod : { ...pod, status });
        else await storage.removeVolumes(uid).then(() => rm(join(podsDir, uid), { recursive: true, force: true }));
      }
      const known = new Set(pods.map(uidOf));
      for (const uid of await readdir(statusDir)) if (!known.has(uid)) await rm(join(statusDir, uid), { force: true });
      return pods;
    },

    saveObject: (resource, key, object) => {
      const dir = join(memoryRoot, ".objects", resource);
      const path = join(dir, checkName(key.replace("/", "_")));
      // One after another: two writers of one object would take each other's unfinished file away.
      const save = async () => {
        if (object === undefined) {
          await rm(path, { force: true });
          return;
        }
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await writeFile(`${path}~`, JSON.stringify(object), { mode: 0o600 });
        await rename(`${path}~`, path);
      };
      const saving = (savings.get(path) ?? Promise.resolve()).then(save, save);
      savings.set(path, saving);
      return saving.finally(() => {
        if (savings.get(path) === saving) savings.delete(path);
      });
    },

    loadObjects: async (resource) => {
      const dir = join(memoryRoot, ".objects", resource);
      const objects: SavedObject[] = [];
      for (const name of await readdir(dir).catch(() => [])) {
        const object = name.endsWith("~") ? undefined : parse<SavedObject>(await readFile(join(dir, name), "utf8"));
        if (object !== undefined) objects.push(object);
      }
      return objects;
    },

    localVolumes: () => readdirSync(localVolumesDir).filter((name) => !name.endsWith("~")),

    removeLocalVolume: async (name) => {
      const path = join(localVolumesDir, checkName(name));
      // Aside first: what is half removed must not be taken for a volume.
      await rename(path, `${path}~`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      await rm(`${path}~`, { recursive: true, force: true });
    },

    tearDown: async () => {
      await unmountBelow(memoryRoot);
      await rm(memoryRoot, { recursive: true, force: true });
    },

    seccompProfile: (name) => {
      const root = join(dataDir, "seccomp");
      const path = resolve(root, name);
      if (!path.startsWith(root + sep))
        throw new ConfigError(`seccomp profile ${JSON.stringify(name)} leads outside of ${root}`);
      try {
        return JSON.parse(readFileSync(path, "utf8"));
      } catch (cause) {
        throw new ConfigError(`seccomp profile ${JSON.stringify(name)} cannot be read: ${messageOf(cause)}`);
      }
    },
  };
  return storage;
}

/** Keeps a volume's image on the node, as a container's layer keeps its image. */
function volumeLayer(uid: string, volumeName: string): string {
  return `volume.${uid}.${volumeName}`;
}

/** Without the folder to write to, which stays empty: below the others it makes two of one, as overlayfs wants. */
function readOnlyRoot(rootfs: Mount): Mount {
  const value = (name: string) =>
    rootfs.options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  return { ...rootfs, options: [`lowerdir=${value("lowerdir")}:${value("upperdir")}`] };
}

/** The old one or the new one is there, whenever we are killed. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}~`, text, { mode: 0o600 });
  renameSync(`${path}~`, path);
}

function bind(source: string, destination: string): Mount {
  return { destination, type: "bind", source, options: ["rbind", "rprivate", "rw"] };
}

function uidOf(pod: Pod): string {
  return pod.metadata?.uid ?? "";
}

function logName(pod: Pod): string {
  return `${pod.metadata?.namespace ?? "default"}_${pod.metadata?.name ?? ""}_${uidOf(pod)}`;
}

// Names become parts of paths that root writes and removes: whatever the server sends, they stay one part.
function checkName(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name) || name.length > 400) {
    throw new VolumeError(`${JSON.stringify(name)} cannot be the name of a folder`);
  }
  return name;
}

// Written by this agent and renamed into place; only a failing disk leaves less than JSON.
function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
