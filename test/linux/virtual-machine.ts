// A machine of another kind than the one that tests run on: Debian's kernel with cgroup v2 only, in QEMU without hardware help. Its
// disk holds Node, busybox and the parts of this project that make and test containers; there is no network.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { debianTree } from "../tools.ts";
import { buildLauncher, buildProgram } from "./rig.ts";

const run = promisify(execFile);
const project = new URL("../..", import.meta.url).pathname;
/** What tests of the runtime import, programs that were built before among it. */
const projectParts = ["package.json", "api/kinds", "lib", "node-agent", "test", ".cache/probe"];
const diskMegabytes = 400;
const memoryMegabytes = 1024;
const runMsMax = 600_000;
const kernelArguments = "console=ttyS0 quiet root=/dev/nvme0n1 rw init=/init panic=-1";

/** What else is there: parts of the project, and files of this machine in their places. */
export interface MachineParts {
  readonly parts?: readonly string[];
  readonly files?: readonly string[];
}

/** The console's output of a shell command that ran in the project's folder on such a machine, as root. */
export async function runInMachine(command: string, more: MachineParts = {}): Promise<string> {
  const tree = await debianTree("machine", ["qemu-system-x86", "linux-image-cloud-amd64", "busybox-static"]);
  const place = await mkdtemp(join(tmpdir(), `naru-machine-${process.pid}-`));
  try {
    await fillRoot(join(place, "root"), tree, { ...more, command });
    const disk = join(place, "disk");
    await run("/sbin/mke2fs", ["-q", "-t", "ext4", "-d", join(place, "root"), disk, `${diskMegabytes}m`]);
    return await boot(tree, disk);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

async function fillRoot(
  root: string,
  tree: string,
  { command, parts = [], files = [] }: MachineParts & { readonly command: string },
): Promise<void> {
  for (const folder of ["bin", "proc", "sys", "dev", "tmp", "run"])
    await mkdir(join(root, folder), { recursive: true });
  await cp(join(tree, "bin/busybox"), join(root, "bin/busybox"));
  const { stdout: applets } = await run(join(tree, "bin/busybox"), ["--list"]);
  for (const applet of applets.trim().split("\n")) {
    if (applet !== "busybox") await symlink("busybox", join(root, "bin", applet));
  }
  await cp(process.execPath, join(root, "bin/node"));
  for (const path of [...(await librariesOf(process.execPath)), ...files])
    await cp(path, join(root, path), { dereference: true });
  const [release = ""] = await readdir(join(tree, "lib/modules"));
  await cp(join(tree, "lib/modules", release, "kernel/fs/overlayfs/overlay.ko"), join(root, "overlay.ko"));
  buildLauncher();
  for (const name of ["probe", "attacker"]) buildProgram(name);
  for (const part of [...projectParts, ...parts]) {
    await mkdir(dirname(join(root, "project", part)), { recursive: true });
    await cp(join(project, part), join(root, "project", part), {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
  }
  await writeFile(join(root, "init"), initScript(command), { mode: 0o755 });
}

/** Those that a program takes from this machine. */
export async function librariesOf(program: string, env?: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const { stdout } = await run("ldd", [program], env === undefined ? {} : { env });
  return [...stdout.matchAll(/\/\S+/g)].map(([library]) => library);
}

function initScript(command: string): string {
  return `#!/bin/sh
export PATH=/bin HOME=/tmp
mount -t devtmpfs dev /dev; mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
insmod /overlay.ko
cd /project
${command}
poweroff -f
`;
}

async function boot(tree: string, disk: string): Promise<string> {
  const folder = (path: string) => join(tree, path);
  const kernel = (await readdir(folder("boot"))).find((name) => name.startsWith("vmlinuz-")) ?? "";
  const machine = spawn(
    folder("usr/bin/qemu-system-x86_64"),
    [
      ...["-L", folder("usr/share/qemu"), "-L", folder("usr/share/seabios"), "-machine", "q35", "-accel", "tcg"],
      // One processor: Node's compiled code does not bear the emulation of several.
      ...["-cpu", "max", "-smp", "1", "-m", String(memoryMegabytes), "-nodefaults", "-display", "none", "-no-reboot"],
      ...["-serial", "stdio", "-kernel", folder(`boot/${kernel}`), "-append", kernelArguments],
      ...["-drive", `file=${disk},if=none,id=disk,format=raw`, "-device", "nvme,drive=disk,serial=1"],
    ],
    {
      env: { LD_LIBRARY_PATH: `${folder("usr/lib/x86_64-linux-gnu")}:${folder("lib/x86_64-linux-gnu")}` },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: runMsMax,
      killSignal: "SIGKILL",
    },
  );
  let output = "";
  for (const stream of [machine.stdout, machine.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text.replaceAll("\r", "");
    });
  }
  await once(machine, "close");
  return output;
}
