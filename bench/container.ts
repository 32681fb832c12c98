// How fast the runtime is: a container from start to reaped exit with full isolation, one at a time and eight in flight.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "../node-agent/runtime/defaults.ts";
import { type LinuxRuntime, openLinuxRuntime } from "../node-agent/runtime/linux.ts";
import type { ContainerSpec } from "../node-agent/runtime/runtime.ts";

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly n: number;
  readonly median: number;
  readonly p99: number;
}

const launcherFolder = new URL("../node-agent/launcher/", import.meta.url).pathname;
const runs = 300;
const rateRounds = 8;
const rateRuns = 200;
const inFlight = 8;

/** container-start (ms) and container-rate (per second). Needs root. */
export async function benchContainer(): Promise<readonly Result[]> {
  execFileSync("sh", [join(launcherFolder, "build.sh")]);
  const directory = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  // Small files of every container's life belong on a tmpfs, as /run is one on most machines.
  const state = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `naru-bench-${process.pid}-`));
  const image = join(directory, "image");
  mkdirSync(image);
  copyFileSync(buildProgram(directory), join(image, "true"));
  const runtime = await openLinuxRuntime({
    runDir: join(state, "run"),
    stateDir: join(state, "state"),
    launcherPath: join(launcherFolder, "build", "naru-launcher"),
    cgroupParent: `/naru-bench-${process.pid}`,
    clock: realClock,
    log: silentLogger,
  });
  try {
    return [await measureStart(runtime, directory), await measureRate(runtime, directory)];
  } finally {
    await runtime.tearDown();
    for (const path of [directory, state]) rmSync(path, { recursive: true, force: true });
  }
}

async function measureStart(runtime: LinuxRuntime, directory: string): Promise<Result> {
  const times: number[] = [];
  for (let i = 0; i < runs + 20; i++) {
    const spec = specOf(directory, `start-${i}`);
    await runtime.create(spec);
    const before = performance.now();
    await runtime.start(spec.id);
    await runtime.wait(spec.id);
    // The first few warm everything up.
    if (i >= 20) times.push(performance.now() - before);
    await runtime.remove(spec.id);
  }
  return { name: "container-start", unit: "ms", n: times.length, ...quantiles(times) };
}

async function measureRate(runtime: LinuxRuntime, directory: string): Promise<Result> {
  const rates: number[] = [];
  for (let round = 0; round < rateRounds; round++) {
    const specs = Array.from({ length: rateRuns }, (_, i) => specOf(directory, `rate-${round}-${i}`));
    const before = performance.now();
    const work = specs.values();
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        for (const spec of work) {
          await runtime.create(spec);
          await runtime.start(spec.id);
          await runtime.wait(spec.id);
          await runtime.remove(spec.id);
        }
      }),
    );
    rates.push((rateRuns * 1000) / (performance.now() - before));
  }
  const { median, p99 } = quantiles(rates.map((rate) => -rate));
  // The rate that 99 of 100 rounds reach.
  return { name: "container-rate", unit: "1/s", n: rates.length * rateRuns, median: -median, p99: -p99 };
}

function quantiles(values: readonly number[]): { readonly median: number; readonly p99: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99) };
}

function buildProgram(directory: string): string {
  const source = join(directory, "true.c");
  writeFileSync(source, "int main(void) { return 0; }\n");
  const compiler = existsSync("/usr/bin/musl-gcc") ? "musl-gcc" : "gcc";
  execFileSync(compiler, ["-static", "-O2", "-o", join(directory, "true"), source]);
  return join(directory, "true");
}

function specOf(directory: string, id: string): ContainerSpec {
  const [upper, work] = ["upper", "work"].map((name) => join(directory, "layers", id, name));
  for (const path of [upper, work]) mkdirSync(path ?? "", { recursive: true });
  return {
    id,
    labels: {},
    args: ["/true"],
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
      options: [`lowerdir=${join(directory, "image")}`, `upperdir=${upper}`, `workdir=${work}`, "volatile"],
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

if (import.meta.main) console.table(await benchContainer());
