// What Naru needs of a machine; shared by `naru doctor` and by what starts nodes.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

export interface MachineCheck {
  readonly name: string;
  /** What is wrong and the way out; undefined when all is well. */
  readonly check: () => string | undefined;
}

const root = new URL("..", import.meta.url).pathname;

export const machineChecks: readonly MachineCheck[] = [
  { name: "Linux 5.11 or newer", check: checkKernel },
  {
    name: "root",
    check: () =>
      process.getuid?.() === 0 ? undefined : "namespaces, mounts and links need root: run as root or with sudo",
  },
  {
    name: "overlayfs",
    check: () =>
      overlayIsThere() || (loadModule("overlay") && overlayIsThere()) ? undefined : "the kernel has no overlayfs",
  },
  {
    name: "namespaces",
    check: () =>
      missingOf(
        ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"].map((name) => `/proc/self/ns/${name}`),
        "this kernel lacks",
      ),
  },
  {
    name: "seccomp filters",
    check: () =>
      fileHas("/proc/self/status", /^Seccomp_filters:/m, "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"),
  },
  { name: "cgroups (v1 or v2)", check: checkCgroups },
  { name: "nft", check: () => program("nft", "nftables") },
  { name: "container launcher", check: () => built("node-agent/launcher/build/naru-launcher") },
  { name: "layer unpacker", check: () => built("node-agent/images/build/naru-unpack") },
];

/** Throws what the machine lacks, in words that tell the way out. */
export function requireMachine(): void {
  const problems = machineChecks.flatMap(({ name, check }) => {
    const problem = check();
    return problem === undefined ? [] : [`\n  ${name}: ${problem}`];
  });
  if (problems.length > 0) throw new Error(`this machine cannot run containers:${problems.join("")}`);
}

function overlayIsThere(): boolean {
  return /\boverlay$/m.test(readFileSync("/proc/filesystems", "utf8"));
}

// A distribution's kernel has most things as modules, which are not there before something asked for them.
function loadModule(name: string): boolean {
  return spawnSync("modprobe", [name], { env: { PATH: searchPath() } }).status === 0;
}

function checkKernel(): string | undefined {
  if (process.platform !== "linux")
    return `Naru runs containers with Linux's own features; this is ${process.platform}`;
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 11)
    ? undefined
    : `this is Linux ${release}: openat2, close_range and mount options need 5.11`;
}

function checkCgroups(): string | undefined {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  if (/ - cgroup2 /.test(mounts) && !/ - cgroup cgroup/.test(mounts)) return undefined;
  const lacking = ["cpu", "memory", "pids", "devices"].filter(
    (controller) => !new RegExp(` - cgroup \\S+ .*\\b${controller}\\b`).test(mounts),
  );
  return lacking.length === 0
    ? undefined
    : `cgroup controllers ${lacking.join(", ")} are not mounted below /sys/fs/cgroup: mount cgroup2 there, or boot with them enabled`;
}

function fileHas(path: string, pattern: RegExp, problem: string): string | undefined {
  return existsSync(path) && pattern.test(readFileSync(path, "utf8")) ? undefined : problem;
}

function missingOf(paths: readonly string[], problem: string): string | undefined {
  const missing = paths.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `${problem} ${missing.join(", ")}`;
}

function program(name: string, packageName: string): string | undefined {
  const found = searchPath()
    .split(delimiter)
    .some((folder) => existsSync(join(folder, name)));
  return found ? undefined : `apt-get install ${packageName}`;
}

function searchPath(): string {
  return [process.env["PATH"] ?? "", "/usr/sbin", "/sbin"].join(delimiter);
}

function built(path: string): string | undefined {
  return existsSync(join(root, path))
    ? undefined
    : `${path} is not built: \`npm start\` builds it (needs gcc and musl-tools)`;
}
