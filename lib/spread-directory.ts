// ext4 puts new files near their directory. Where many short-lived folders share one, they crowd into one group of inodes, and a file
// system without a journal, as small virtual machines have it, looks there for each new file past all that were deleted in the last
// minutes: 2 ms for mounting a container's root. Marked so, a directory's folders are spread over the disk, as those of /home are.
// Source: chattr(1), "T"; fs/ext4/ialloc.c, find_group_orlov and recently_deleted.
import { execFile } from "node:child_process";

/** Resolves also where the file system or the machine knows nothing of it. */
export function spreadDirectory(path: string): Promise<void> {
  return new Promise((resolve) => {
    execFile("chattr", ["+T", path], () => resolve());
  });
}
