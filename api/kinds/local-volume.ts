// Volumes that Naru makes itself: folders of one node, made when the first pod of their claim comes there.

/** The StorageClass of claims that name none, and who makes its volumes. */
export const localClassName = "local";
export const localDriver = "local.naru.dev";

/** As long as a volume has it, its folder may still be on its node. */
export const localVolumeFinalizer = "naru.dev/local-volume";

/** How a Node's status.volumesInUse names the folder of a volume. */
export function volumeInUse(volumeName: string): string {
  return `${localDriver}/${volumeName}`;
}
