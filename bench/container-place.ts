// Where containers are measured: a folder with an image as small as can be, and the runtime as an agent has it.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { spreadDirectory } from "../lib/spread-directory.ts";
import { defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "../node-agent/runtime/defaults.ts";
import { type LinuxRuntime, openLinuxRuntime } from "../node-agent/runtime/linux.ts";
import type { ContainerSpec } from "../node-agent/runtime/runtime.ts";
import { buildLauncher, buildProgram } from "../test/linux/rig.ts";

export interface ContainerPlace extends AsyncDisposable {
  readonly runtime: LinuxRuntime;
  /** Full isolation and limits; ends at once, or goes on until it is killed. */
  spec(id: string, life: "ends" | "goes on"): ContainerSpec;
}

/** What runs in every container; with an argument it goes on. */
export const program = "/nothing";

/** The folders that images bring, and the program. */
export function makeImage(folder: string): string {
  for (const name of ["dev", "etc", "proc", "run", "sys", "tmp"]) mkdirSync(join(folder, name), { recursive: true });
  copyFileSync(buildProgram("nothing", new URL(".", import.meta.url).pathname), join(folder, program));
  symlinkSync("/proc/mounts", join(folder, "etc", "mtab"));
  return folder;
}

/** `waiting`: sandboxes that are kept for what starts next. */
export async function openContainerPlace(waiting = 0): Promise<ContainerPlace> {
  const directory = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  // Small files of every container's life belong on a tmpfs, as /run is one on most machines.
  const state = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `naru-bench-${process.pid}-`));
  makeImage(join(directory, "image"));
  // As the agent does it with its containers' layers.
  mkdirSync(join(directory, "layers"));
  await spreadDirectory(join(directory, "layers"));
  const runtime = await openLinuxRuntime({
    runDir: join(state, "run"),
    stateDir: join(state, "state"),
    launcherPath: buildLauncher(),
    cgroupParent: `/naru-bench-${process.pid}/${basename(directory)}`,
    clock: realClock,
    log: silentLogger,
    waiting,
  });
  return {
    runtime,
    spec: (id, life) => specOf(directory, id, life),
    [Symbol.asyncDispose]: async () => {
      await runtime.tearDown();
      for (const path of [directory, state]) rmSync(path, { recursive: true, force: true });
    },
  };
}

function specOf(directory: string, id: string, life: "ends" | "goes on"): ContainerSpec {
  const layer = join(directory, "layers", id);
  for (const name of ["upper", "work"]) mkdirSync(join(layer, name), { recursive: true });
  return {
    id,
    labels: {},
    args: life === "ends" ? [program] : [program, "on"],
    env: ["PATH=/usr/bin:/bin"],
    cwd: "/",
    user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false,
    stdin: false,
    hostname: "bench",
    rootfs: {
      destination: "/",
      type: "overlay",
      source: "overlay",
      options: [`lowerdir=${join(directory, "image")}`, `upperdir=${layer}/upper`, `workdir=${layer}/work`, "volatile"],
    },
    readonlyRootfs: false,
    mounts: [],
    namespaces: (["pid", "network", "mount", "ipc", "uts", "cgroup"] as const).map((type) => ({ type })),
    cgroupPath: id,
    resources: { memoryBytesMax: 256 * 1024 * 1024, pidsMax: 1000, cpuShares: 1024 },
    capabilities: defaultCapabilities,
    noNewPrivileges: false,
    privileged: false,
    seccomp: "default",
    maskedPaths: defaultMaskedPaths,
    readonlyPaths: defaultReadonlyPaths,
    sysctls: {},
    rlimits: [],
    logPath: join(directory, "logs", `${id}.log`),
  };
}
