// fsGroup: gives a pod's own volumes to a group. Source: Kubernetes, "Configure volume permission and ownership change policy".
import { chmod, lchown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Everything below gets the group and is readable (writable unless `readOnly`) for it; new files in folders inherit it. */
export async function giveToGroup(path: string, gid: number, options: { readonly readOnly: boolean }): Promise<void> {
  const stats = await lstat(path);
  await lchown(path, stats.uid, gid);
  if (stats.isSymbolicLink()) return;
  const bits = options.readOnly ? 0o440 : 0o660;
  // chmod follows links, but nothing else can write here before the pod's containers start.
  const mode = (stats.mode & 0o7777) | bits | (stats.isDirectory() ? 0o2110 : 0);
  if (mode !== (stats.mode & 0o7777) || stats.gid !== gid) await chmod(path, mode);
  if (!stats.isDirectory()) return;
  for (const name of await readdir(path)) await giveToGroup(join(path, name), gid, options);
}
