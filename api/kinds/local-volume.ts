// Volumes that Naru makes itself: folders of one node, made when the first pod of their claim comes there.

/** The StorageClass of claims that name none, and who makes its volumes. */
export const localClassName = "local";
export const localDriver = "local.naru.dev";

/** As long as a volume has it, its folder may still be on its node. */
export const localVolumeFinalizer = "naru.dev/local-volume";

/** How a Node's status.volumesInUse names a volume whose folder is there. */
export function volumeInUse(volumeName: string): string {
  return `${localDriver}/${volumeName}`;
}

/** And how one that is being deleted and whose folder is certainly gone: its silence might be that of a node that knows nothing yet. */
export function volumeRemoved(volumeName: string): string {
  return `${localDriver}/removed/${volumeName}`;
}
