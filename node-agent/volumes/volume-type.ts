// What a type of volume is: how it comes to be on the node, follows its sources, and goes. A type is one file and one line in list.ts.

import type {
  ConfigMap,
  DownwardAPIVolumeFile,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Secret,
  ServiceAccountTokenProjection,
  Volume,
} from "../../api/kinds/generated/types.ts";
import type { Mount } from "../runtime/runtime.ts";

export interface VolumeContext {
  readonly pod: Pod;
  readonly volume: Volume;
  /** A folder of its own on disk; not made yet. */
  readonly dir: string;
  /** The same on a tmpfs: what must never reach a disk. */
  readonly memoryDir: string;
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
  claim(name: string): PersistentVolumeClaim | undefined;
  /** Those that may be mounted on this node. */
  persistentVolume(name: string): PersistentVolume | undefined;
  /** Where the volumes are that outlive their pods. */
  readonly localVolumesDir: string;
  /** securityContext.fsGroup: the group that the pod's own volumes belong to. */
  readonly fsGroup: number | undefined;
  /** The user that all of the pod's containers run as, where they say one and the same. */
  readonly fsUser: number | undefined;
  /** What the pod's containers may use together. */
  readonly memoryBytesMax: number | undefined;
  /** The read-only overlay of the volume's image, pulled as its policy says. */
  imageRoot(): Promise<Mount>;
  /** A token of the pod's service account that is good for a while. */
  serviceAccountToken(projection: ServiceAccountTokenProjection): Promise<string>;
  /** The text of a downwardAPI file; throws VolumeError for what cannot be told. */
  downwardText(file: DownwardAPIVolumeFile): string;
}

export interface MadeVolume {
  /** What containers mount. */
  readonly path: string;
  readonly readOnly: boolean;
}

export interface VolumeType {
  /** The field of Volume that chooses it. */
  readonly field: keyof Volume & string;
  /** Makes it, or finds it made; can be called again. What it mounts or keeps lies below its folders. Rejects with VolumeError. */
  setUp(context: VolumeContext): Promise<MadeVolume>;
  /** Brings its files up to their sources. */
  readonly refresh?: (context: VolumeContext) => Promise<void>;
}

/** Why a volume cannot be had, as a user reads it. */
export class VolumeError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "VolumeError";
  }
}

/** It is being made: whoever tries again in a moment has it. */
export class VolumeComingError extends VolumeError {
  constructor(message: string) {
    super(message);
    this.name = "VolumeComingError";
  }
}

/** Whether that is what failed, below what was being done. */
export function isComing(error: unknown): boolean {
  if (error instanceof VolumeComingError) return true;
  return error instanceof Error && error.cause !== undefined && isComing(error.cause);
}
