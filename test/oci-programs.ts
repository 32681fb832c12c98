// Other OCI runtimes for tests: Debian's runc and crun, unpacked beside the machine with the libraries that it lacks.
import { chmodSync, existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OciProgram } from "../node-agent/runtime/oci-programs.ts";
import { debianTree } from "./tools.ts";

export const ociNames = ["runc", "crun"] as const;
export type OciName = (typeof ociNames)[number];

/** The path of a program that can be called as if the package were installed. */
export async function ociProgram(handler: OciName): Promise<OciProgram> {
  const tree = await debianTree("oci", ["runc", "crun"]);
  const program = join(tree, { runc: "usr/sbin/runc", crun: "usr/bin/crun" }[handler]);
  const multiarch = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const libraries = ["usr/lib", "lib"].map((folder) => join(tree, folder, multiarch)).join(":");
  const path = join(tree, `called-${handler}`);
  const script = [
    "#!/bin/sh",
    `export LD_LIBRARY_PATH=${libraries}`,
    handler === "crun" && existsSync(unified) ? withoutUnified(program) : `exec ${program} "$@"`,
  ];
  writeFileSync(`${path}.${process.pid}`, `${script.join("\n")}\n`);
  chmodSync(`${path}.${process.pid}`, 0o755);
  renameSync(`${path}.${process.pid}`, path);
  return { handler, path, args: [] };
}

const unified = "/sys/fs/cgroup/unified";

/** crun 1.8 refuses machines that have both versions of cgroups. Only this process and its children lose the second one. */
function withoutUnified(program: string): string {
  const inside = `mount --make-private /sys/fs/cgroup; umount --lazy ${unified}; exec "$@"`;
  return `exec unshare --mount --propagation unchanged sh -c '${inside}' crun ${program} "$@"`;
}
