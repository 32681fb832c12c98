// Where a peer is measured: in mount and network namespaces that end with this process.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "./peer.ts";
import { fetchedPeers } from "./peer-packages.ts";

const unified = "/sys/fs/cgroup/unified";

/** In this mount namespace they look as if they were installed, with their libraries. */
export async function showFetchedPeers(): Promise<void> {
  const tree = join(fetchedPeers, "usr");
  if (existsSync(tree)) await command("mount", ["-t", "overlay", "-o", `ro,lowerdir=${tree}:/usr`, "overlay", "/usr"]);
  // crun 1.8 refuses machines that have both versions of cgroups. Only this process and its children lose the second one.
  if (existsSync(unified)) await command("umount", ["--lazy", unified]);
  await command("ip", ["link", "set", "lo", "up"]);
}

/** In this mount namespace /etc has what podman and buildah take for granted: a policy for signatures, and an order of registries. */
export async function showContainersFiles(folder: string): Promise<void> {
  const files = join(folder, "etc", "containers");
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, "registries.conf"), "unqualified-search-registries = []\n");
  writeFileSync(join(files, "policy.json"), JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  await command("mount", ["-t", "overlay", "-o", `ro,lowerdir=${join(folder, "etc")}:/etc`, "overlay", "/etc"]);
}
