// The volumes of this node that outlive their pods: removed when the cluster says so, and told of in the node's status, so that the
// cluster knows which folders are there and which are certainly gone.
import type { PersistentVolume } from "../api/kinds/generated/types.ts";
import { localDriver, volumeInUse, volumeRemoved } from "../api/kinds/local-volume.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { messageOf } from "./pods/start-problem.ts";
import type { PodStorage } from "./pods/storage.ts";
import type { NodeCache } from "./session-types.ts";

export interface LocalVolumesOptions {
  readonly cache: Pick<NodeCache, "list">;
  readonly storage: Pick<PodStorage, "localVolumes" | "removeLocalVolume">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a pod of this node still has it. */
  readonly isMounted: (volumeName: string) => boolean;
  /** What `notes` says has changed. */
  readonly onChange: () => void;
}

const retryMs = 1000;

export class LocalVolumes {
  readonly #options: LocalVolumesOptions;
  readonly #removing = new Set<string>();

  constructor(options: LocalVolumesOptions) {
    this.#options = options;
  }

  /** For the node's status.volumesInUse. */
  notes(): readonly string[] {
    const here = this.#options.storage.localVolumes();
    const gone = this.#deleted().filter((volume) => isLeft(volume) || !here.includes(nameOf(volume)));
    return [...here.map(volumeInUse), ...gone.map((volume) => volumeRemoved(nameOf(volume)))];
  }

  /** Removes what is to go. That the cluster does not know a volume is no reason to remove data. */
  removeDeleted(): void {
    const { storage, isMounted, onChange, log, clock } = this.#options;
    const here = storage.localVolumes();
    const deleted = this.#deleted();
    for (const name of deleted.filter((volume) => !isLeft(volume)).map(nameOf)) {
      if (!here.includes(name) || this.#removing.has(name) || isMounted(name)) continue;
      this.#removing.add(name);
      storage
        .removeLocalVolume(name)
        .then(
          () => log.info({ volume: name }, "removed a volume"),
          (error) => {
            log.warn({ volume: name, error: messageOf(error) }, "could not remove a volume yet");
            clock.after(retryMs, () => this.removeDeleted());
          },
        )
        .finally(() => {
          this.#removing.delete(name);
          onChange();
        });
    }
    if (deleted.length > 0) onChange();
  }

  #deleted(): readonly PersistentVolume[] {
    return this.#options.cache
      .list("persistentvolumes")
      .filter(({ metadata, spec }) => metadata?.deletionTimestamp !== undefined && spec?.csi?.driver === localDriver);
  }
}

// Its folder stays when its object goes.
function isLeft({ spec }: PersistentVolume): boolean {
  return spec?.persistentVolumeReclaimPolicy !== "Delete";
}

function nameOf({ metadata }: PersistentVolume): string {
  return metadata?.name ?? "";
}
