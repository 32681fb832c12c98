// The peers out of Debian's packages. Where they are not installed they can be unpacked beside the machine: npm run bench -- --fetch-peers.
import { debianTree, treeFolder } from "../test/tools.ts";

const tree = "peers";

/** With everything that they need and this machine lacks. */
export async function fetchPeers(): Promise<void> {
  await debianTree(tree, ["crun", "runc", "containerd", "docker.io", "podman", "buildah"]);
}

/** Where they lie, if they were ever fetched. */
export const fetchedPeers = treeFolder(tree);
