// Container engines for tests of naru-oci, unpacked from Debian's packages: a shell that sees their programs and libraries where all
// look for them, in namespaces of its own, so that whatever they leave ends with it.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianProgram, debianTree } from "../tools.ts";
import { removeGroup } from "./bundle.ts";
import { buildLauncher, unifiedCgroups } from "./rig.ts";

export const naruOci = new URL("../../bin/naru-oci", import.meta.url).pathname;
const libraries = "usr/lib/x86_64-linux-gnu";
const runMsMax = 280_000;
const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

export interface Engine extends Disposable {
  /** Its packages. */
  readonly tree: string;
  readonly folder: string;
  /** With busybox. */
  readonly rootfs: string;
  /** Below the trees' roots; removed at the end. */
  readonly cgroup: string;
  /** What each step says, and its exit code. */
  run(steps: readonly string[], more?: RunOptions): readonly string[];
}

interface RunOptions {
  /** Runs meanwhile; the steps begin once `ready` succeeds. */
  readonly daemon?: { readonly command: string; readonly ready: string };
  readonly env?: Readonly<Record<string, string>>;
}

/** `packages` are unpacked as a tree of that name. */
export async function openEngine(name: string, packages: readonly string[]): Promise<Engine> {
  buildLauncher();
  const tree = await debianTree(name, packages);
  const folder = mkdtempSync(join(tmpdir(), `naru-${name}-${process.pid}-`));
  const rootfs = join(folder, "rootfs");
  for (const path of ["bin", "dev", "etc", "proc", "sys", "tmp"]) mkdirSync(join(rootfs, path), { recursive: true });
  copyFileSync(await debianProgram("busybox-static", "bin/busybox"), join(rootfs, "bin", "busybox"));
  for (const applet of ["sh", "id", "sleep", "cat", "grep", "readlink"])
    symlinkSync("busybox", join(rootfs, "bin", applet));
  const cgroup = `naru-${name}-${process.pid}`;
  return {
    tree,
    folder,
    rootfs,
    cgroup,
    run: (steps, { daemon, env = {} } = {}) => {
      const script = [...preparation, ...around(daemon, folder, steps)].join("\n");
      const { stdout } = spawnSync("unshare", [...namespaces, "sh", "-c", script], {
        encoding: "utf8",
        timeout: runMsMax,
        env: { ...environment(tree, folder), ...env },
      });
      const parts = stdout.replaceAll("\r", "").split(/= (\d+)\n/);
      return parts.map((text) => text.trim());
    },
    [Symbol.dispose]: () => {
      const trees = unifiedCgroups ? [""] : readdirSync("/sys/fs/cgroup");
      // Groups of helpers such as conmon stay empty where they were made.
      for (const one of trees) removeGroup(`/sys/fs/cgroup/${one}/${cgroup}`);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Some start themselves and others anew without the caller's environment, so libraries have to be where all look. */
const preparation = [
  `mount -t overlay overlay -o lowerdir="$LIBRARIES:/${libraries}" /${libraries}`,
  "mount -t tmpfs run /run && mkdir /run/etc /run/work",
  "mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc",
];

function around(daemon: RunOptions["daemon"], folder: string, steps: readonly string[]): readonly string[] {
  const typed = steps.map((step) => `(${step}) 2>&1; echo "= $?"`);
  if (daemon === undefined) return typed;
  return [
    `${daemon.command} > ${folder}/log 2>&1 & daemon=$!`,
    `for try in $(seq 300); do ${daemon.ready} > /dev/null 2>&1 && break; kill -0 $daemon || break; sleep 0.2; done`,
    ...typed,
    "kill $daemon; wait $daemon",
  ];
}

function environment(tree: string, folder: string): Readonly<Record<string, string>> {
  const programs = ["usr/bin", "usr/sbin", "sbin"].map((path) => join(tree, path));
  const found = [libraries, "lib/x86_64-linux-gnu"].map((path) => join(tree, path)).filter((path) => existsSync(path));
  return {
    PATH: [...programs, process.env["PATH"] ?? "", "/usr/sbin", "/sbin"].join(":"),
    HOME: folder,
    LIBRARIES: found.join(":"),
  };
}
