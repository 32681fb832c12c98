// What a pod has on its node's disk and in memory: volumes, small files of its own, logs, its checkpoint. Implementations: disk, memory.
import type {
  ConfigMap,
  Container,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  RuntimeClass,
  Secret,
  ServiceAccountTokenProjection,
  Volume,
} from "../../api/kinds/generated/types.ts";
import type { Image } from "../images/images.ts";
import type { IdMapping, Mount } from "../runtime/runtime.ts";
import type { DiskUse } from "../volumes/usage.ts";
import type { ConfigLookup } from "./container-env.ts";
import type { FieldContext } from "./field-values.ts";
import type { HostNames } from "./hostname.ts";

export interface StorageContext {
  readonly fields: FieldContext;
  readonly lookup: ConfigLookup;
  /** The image of an image volume, pulled when it has to be. */
  readonly image: (volume: Volume) => Promise<Image>;
  readonly serviceAccountToken: (projection: ServiceAccountTokenProjection) => Promise<string>;
  readonly names: HostNames;
  /** Lines of resolv.conf as the network gives them. */
  readonly resolvConf: string;
}

export type SavedResource =
  | "configmaps"
  | "secrets"
  | "persistentvolumes"
  | "persistentvolumeclaims"
  | "nodes"
  | "runtimeclasses";

export type SavedObject = ConfigMap | Secret | PersistentVolume | PersistentVolumeClaim | Node | RuntimeClass;

export interface PodStorage {
  /** Volumes and files; finds them made when they are. Rejects with VolumeError. */
  setUp(pod: Pod, context: StorageContext): Promise<void>;
  /** The users of a pod that has its own (hostUsers: false); the same ones again. Rejects with VolumeError when none are left. */
  userRange(pod: Pod): Promise<IdMapping>;
  /** Brings files of volumes up to their ConfigMaps, Secrets and fields. */
  refresh(pod: Pod, context: StorageContext): Promise<void>;
  /** What one run of a container mounts, outermost first. Rejects with VolumeError. */
  containerMounts(
    pod: Pod,
    container: Container,
    run: { readonly attempt: number; readonly env: ReadonlyMap<string, string> },
  ): Promise<readonly Mount[]>;
  /** What it wrote to its terminationMessagePath, or with FallbackToLogsOnError the end of its log after a failure. */
  terminationMessage(
    pod: Pod,
    container: Container,
    run: { readonly attempt: number; readonly failed: boolean },
  ): Promise<string>;
  /** Left on the disk that pods write to. */
  freeBytes(): Promise<number>;
  /** What a volume takes on the disk, or some number above `bytesMax`. */
  volumeBytes(pod: Pod, volumeName: string, bytesMax: number): Promise<number>;
  /** The same of a container's writable layer and its logs. */
  containerBytes(
    pod: Pod,
    container: { readonly name: string; readonly id: string },
    bytesMax: number,
  ): Promise<number>;
  /** What a pod's containers (layers and logs) and its volumes on the disk take; no more than `inodesMax` files of each are counted. */
  diskUse(
    pod: Pod,
    containers: readonly { readonly name: string; readonly id: string }[],
    inodesMax: number,
  ): Promise<{ readonly containers: readonly DiskUse[]; readonly volumes: DiskUse }>;
  logPath(pod: Pod, containerName: string, attempt: number): string;
  /** Removes logs and files of runs before `attempt`. */
  removeRunsBefore(pod: Pod, containerName: string, attempt: number): Promise<void>;
  /** Names of the volumes on this node that outlive their pods. */
  localVolumes(): readonly string[];
  /** Removes such a volume with all that is in it. Can be called again. */
  removeLocalVolume(name: string): Promise<void>;
  /** Removes volumes; keeps logs. Can be called again. */
  removeVolumes(uid: string): Promise<void>;
  /** Removes all, the checkpoint last. Can be called again. */
  remove(pod: Pod): Promise<void>;
  /** So that an agent restarted while no server can be reached knows its pods. */
  saveCheckpoint(pod: Pod): Promise<void>;
  loadCheckpoints(): Promise<readonly Pod[]>;
  /** The same for what pods need of the cluster; never on a disk. `object` undefined: it went. */
  saveObject(resource: SavedResource, key: string, object: SavedObject | undefined): Promise<void>;
  loadObjects(resource: SavedResource): Promise<readonly SavedObject[]>;
  /** Removes what the node's pods have in memory, mounts among it. */
  tearDown(): Promise<void>;
  /** A Localhost seccomp profile; throws when it is not there. */
  seccompProfile(name: string): unknown;
}
