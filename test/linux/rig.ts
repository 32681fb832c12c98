// A place for tests of the Linux runtime: directories, cgroup and root file systems of their own, and the probe as the program.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "../../node-agent/runtime/defaults.ts";
import { type LinuxRuntime, type LinuxRuntimeOptions, openLinuxRuntime } from "../../node-agent/runtime/linux.ts";
import type { ContainerSpec } from "../../node-agent/runtime/runtime.ts";
import { makeTestFolder, ownTest } from "../folders.ts";

const here = new URL(".", import.meta.url).pathname;
const launcherFolder = new URL("../../node-agent/launcher/", import.meta.url).pathname;
const cache = new URL("../../.cache/probe/", import.meta.url).pathname;

export interface Rig extends AsyncDisposable {
  readonly directory: string;
  readonly options: LinuxRuntimeOptions;
  readonly runtime: LinuxRuntime;
  /** A spec that runs the probe with these arguments in a fresh writable root. */
  spec(id: string, args: readonly string[], more?: Partial<ContainerSpec>): ContainerSpec;
  /** Lets the runtime go as a kill of its process would, and opens another. */
  reopen(changes?: Partial<LinuxRuntimeOptions>): Promise<LinuxRuntime>;
  logOf(id: string): string;
}

/** `always` changes every spec. */
export async function openRig(
  more: Partial<LinuxRuntimeOptions> = {},
  always: Partial<ContainerSpec> = {},
): Promise<Rig> {
  const directory = makeTestFolder("runtime");
  const image = join(directory, "image");
  mkdirSync(join(image, "etc"), { recursive: true });
  copyFileSync(buildProgram("probe"), join(image, "probe"));
  writeFileSync(join(image, "etc", "not-executable"), "text\n", { mode: 0o644 });
  const options: LinuxRuntimeOptions = {
    runDir: join(directory, "run"),
    stateDir: join(directory, "state"),
    launcherPath: buildLauncher(),
    cgroupParent: `/naru-${ownTest}/${directory.slice(-6)}`,
    clock: realClock,
    log: silentLogger,
    ...(startsWarm ? { waiting: 1 } : {}),
    ...more,
  };
  let runtime = await openRuntime(options);
  return {
    directory,
    options,
    get runtime() {
      return runtime;
    },
    spec: (id, args, changes = {}) => probeSpec(directory, id, args, { ...always, ...changes }),
    reopen: async (changes = {}) => {
      await runtime[Symbol.asyncDispose]();
      runtime = await openRuntime({ ...options, ...changes });
      return runtime;
    },
    logOf: (id) => join(directory, "logs", `${id}.log`),
    [Symbol.asyncDispose]: async () => {
      await runtime.tearDown();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** `NARU_TEST_WAITING`: containers start in sandboxes that wait for them, as far as their kind can. */
const startsWarm = process.env["NARU_TEST_WAITING"] === "1";
const warmTriesMax = 100;
const warmWaitMs = 5;

async function openRuntime(options: LinuxRuntimeOptions): Promise<LinuxRuntime> {
  const runtime = await openLinuxRuntime(options);
  if (!startsWarm) return runtime;
  const start = runtime.start.bind(runtime);
  runtime.start = async (id, more) => {
    // A plan that cannot be made says so at the start itself.
    const warm = () => runtime.warm(id).catch(() => true);
    for (let tries = 0; tries < warmTriesMax && !(await warm()); tries++)
      await new Promise((resolve) => setTimeout(resolve, warmWaitMs));
    return start(id, more);
  };
  return runtime;
}

/** Whether this machine has one hierarchy of cgroups (v2) and not one for each controller (v1). */
export const unifiedCgroups = existsSync("/sys/fs/cgroup/cgroup.controllers");

/** What a container's cgroup says; `names` are the file's on v1 and on v2. */
export function readCgroup(
  rig: { readonly options: { readonly cgroupParent: string } },
  path: string,
  [controller, v1, v2]: readonly [string, string, string],
): string {
  const below = `${rig.options.cgroupParent}/${path}`;
  const file = unifiedCgroups ? `${below}/${v2}` : `/${controller}${below}/${v1}`;
  return readFileSync(join("/sys/fs/cgroup", file), "utf8").trim();
}

/** `NARU_TEST_LAUNCHER` names another variant of build.sh, such as "sanitized". */
export function buildLauncher(): string {
  const variant = process.env["NARU_TEST_LAUNCHER"] ?? "plain";
  execFileSync("sh", [join(launcherFolder, "build.sh"), variant]);
  return join(launcherFolder, "build", variant === "plain" ? "naru-launcher" : `naru-launcher-${variant}`);
}

/** The path of a static program made from the C file of this name, beside this one or in another folder. */
export function buildProgram(name: string, folder = here): string {
  const source = join(folder, `${name}.c`);
  const program = join(cache, name);
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(cache, { recursive: true });
  execFileSync("musl-gcc", [
    ...["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-idirafter", "/usr/include"],
    ...["-idirafter", `/usr/include/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`],
    ...["-o", program, source],
  ]);
  return program;
}

function probeSpec(
  directory: string,
  id: string,
  args: readonly string[],
  changes: Partial<ContainerSpec>,
): ContainerSpec {
  const [upper, work] = ["upper", "work"].map((name) => join(directory, "layers", id, name));
  for (const path of [upper, work]) mkdirSync(path ?? "", { recursive: true });
  return {
    id,
    labels: { test: id },
    args: ["/probe", ...args],
    env: ["PATH=/usr/bin:/bin", "COLOUR=blue"],
    cwd: "/",
    user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false,
    stdin: false,
    hostname: "inside",
    rootfs: {
      destination: "/",
      type: "overlay",
      source: "overlay",
      options: [`lowerdir=${join(directory, "image")}`, `upperdir=${upper}`, `workdir=${work}`],
    },
    readonlyRootfs: false,
    mounts: [],
    namespaces: [
      { type: "pid" },
      { type: "network" },
      { type: "mount" },
      { type: "ipc" },
      { type: "uts" },
      { type: "cgroup" },
    ],
    cgroupPath: `pod-${id}/${id}`,
    resources: {},
    capabilities: defaultCapabilities,
    noNewPrivileges: false,
    privileged: false,
    seccomp: "default",
    maskedPaths: defaultMaskedPaths,
    readonlyPaths: defaultReadonlyPaths,
    sysctls: {},
    rlimits: [],
    logPath: join(directory, "logs", `${id}.log`),
    ...changes,
  };
}
