// Other OCI runtimes for tests: Debian's runc and crun, unpacked beside the machine with the libraries that it lacks.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OciProgram } from "../node-agent/runtime/oci-programs.ts";
import { debianTree } from "./tools.ts";

export const ociNames = ["runc", "crun"] as const;
export type OciName = (typeof ociNames)[number];

/**
 * Why they cannot be tried here: they expect to be in their mount namespace's root. The kernel tells a chroot by making no user namespace
 * in it.
 */
export const noOciRuntimes =
  spawnSync("unshare", ["--user", "true"]).status !== 0 && "other runtimes are not for what runs below a chroot";

/** Where they lie, and the program of each of them. */
export async function ociTree(): Promise<{
  readonly tree: string;
  readonly programs: Readonly<Record<OciName, string>>;
}> {
  const tree = await debianTree("oci", ["runc", "crun"]);
  return { tree, programs: { runc: join(tree, "usr/sbin/runc"), crun: join(tree, "usr/bin/crun") } };
}

/** Colon-separated folders of the libraries that came with them. */
export function ociLibraries(tree: string): string {
  const multiarch = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  return ["usr/lib", "lib"].map((folder) => join(tree, folder, multiarch)).join(":");
}

/** The path of a program that can be called as if the package were installed. */
export async function ociProgram(handler: OciName): Promise<OciProgram> {
  const { tree, programs } = await ociTree();
  const program = programs[handler];
  const path = join(tree, `called-${handler}`);
  const script = [
    "#!/bin/sh",
    `export LD_LIBRARY_PATH=${ociLibraries(tree)}`,
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
