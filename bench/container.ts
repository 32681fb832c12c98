// How fast the runtime is: a container from start to reaped exit with full isolation, one at a time and eight in flight; its end; another
// process in it; what memory of ours each running one holds; and what of it all is the kernel's.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import type { LinuxRuntime } from "../node-agent/runtime/linux.ts";
import type { ContainerSpec } from "../node-agent/runtime/runtime.ts";
import { buildProgram } from "../test/linux/rig.ts";
import { type ContainerPlace, openContainerPlace, program } from "./container-place.ts";
import { type Result, summarize, summarizeRates } from "./result.ts";

const warmUps = 20;
const starts = 300;
const rateRounds = 8;
const rateRuns = 200;
const inFlight = 8;
const removals = 100;
const execs = 200;
const resident = 50;
/** As an agent has them. */
const waitingCount = 2;
const warmWaitMs = 5;

/** Needs root. */
export async function benchContainer(): Promise<readonly Result[]> {
  await using place = await openContainerPlace();
  return [
    await measureStart(place),
    await measureWarmStart(),
    await measureRate(place),
    await measureRemove(place),
    await measureExec(place),
    await measurePss(place),
    ...(await measureBare()),
  ];
}

/** The kernel's own part, which nobody can do without: all namespaces, exec, exit, from C. */
async function measureBare(): Promise<readonly Result[]> {
  const here = new URL(".", import.meta.url).pathname;
  const [bare, nothing] = [buildProgram("bare", here), buildProgram("nothing", here)];
  const run = async (runs: number, flying: number) => {
    const before = performance.now();
    const { stdout } = await promisify(execFile)(bare, [nothing, String(runs), String(flying)]);
    return { times: stdout.trim().split("\n").map(Number), rate: (runs * 1000) / (performance.now() - before) };
  };
  const rates: number[] = [];
  for (let round = 0; round < rateRounds; round++) rates.push((await run(rateRuns, inFlight)).rate);
  return [summarize("bare-start", "ms", (await run(starts, 1)).times), summarizeRates("bare-rate", rates)];
}

async function measureStart({ runtime, spec }: ContainerPlace): Promise<Result> {
  const times: number[] = [];
  for (let i = 0; i < warmUps + starts; i++) {
    const took = await timeRun(runtime, spec(`start-${i}`, "ends"));
    if (i >= warmUps) times.push(took);
  }
  return summarize("container-start", "ms", times);
}

/** As above, but each finds a sandbox waiting for it. */
async function measureWarmStart(): Promise<Result> {
  await using place = await openContainerPlace(waitingCount);
  const { runtime, spec } = place;
  const times: number[] = [];
  await runtime.create(spec("kind", "ends"));
  for (let i = 0; i < warmUps + starts; i++) {
    const wanted = spec(`warm-${i}`, "ends");
    while (!(await runtime.warm("kind"))) await new Promise((resolve) => setTimeout(resolve, warmWaitMs));
    const took = await timeRun(runtime, wanted);
    if (i >= warmUps) times.push(took);
  }
  return summarize("container-start-warm", "ms", times);
}

/** From its start to its end, in ms; then it is removed. */
async function timeRun(runtime: LinuxRuntime, wanted: ContainerSpec): Promise<number> {
  const before = performance.now();
  await runtime.create(wanted);
  await runtime.start(wanted.id);
  await runtime.wait(wanted.id);
  const took = performance.now() - before;
  await runtime.remove(wanted.id);
  return took;
}

async function measureRate({ runtime, spec }: ContainerPlace): Promise<Result> {
  const rates: number[] = [];
  for (let round = 0; round < rateRounds; round++) {
    const specs = Array.from({ length: rateRuns }, (_, i) => spec(`rate-${round}-${i}`, "ends"));
    const before = performance.now();
    const work = specs.values();
    const worker = async () => {
      for (const wanted of work) {
        await runtime.create(wanted);
        await runtime.start(wanted.id);
        await runtime.wait(wanted.id);
        await runtime.remove(wanted.id);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    rates.push((rateRuns * 1000) / (performance.now() - before));
  }
  return summarizeRates("container-rate", rates);
}

async function measureRemove({ runtime, spec }: ContainerPlace): Promise<Result> {
  const times: number[] = [];
  for (let i = 0; i < removals; i++) {
    const wanted = spec(`remove-${i}`, "goes on");
    await runtime.create(wanted);
    await runtime.start(wanted.id);
    const before = performance.now();
    await runtime.remove(wanted.id);
    times.push(performance.now() - before);
  }
  return summarize("container-remove", "ms", times);
}

async function measureExec({ runtime, spec }: ContainerPlace): Promise<Result> {
  const wanted = spec("exec", "goes on");
  await runtime.create(wanted);
  await runtime.start(wanted.id);
  const times: number[] = [];
  for (let i = 0; i < warmUps + execs; i++) {
    const before = performance.now();
    await execOnce(runtime, wanted.id);
    if (i >= warmUps) times.push(performance.now() - before);
  }
  await runtime.remove(wanted.id);
  return summarize("exec", "ms", times);
}

async function execOnce(runtime: LinuxRuntime, id: string): Promise<void> {
  const process = await runtime.exec(id, { args: [program], terminal: false, stdin: false });
  process.stdout.resume();
  process.stderr?.resume();
  const { exitCode } = await process.exit;
  if (exitCode !== 0) throw new Error(`exec in a container: exit code ${exitCode}`);
}

/** Of the process that looks after each container. */
async function measurePss({ runtime, spec }: ContainerPlace): Promise<Result> {
  const ids = Array.from({ length: resident }, (_, i) => `pss-${i}`);
  for (const id of ids) {
    await runtime.create(spec(id, "goes on"));
    await runtime.start(id);
  }
  const monitors = readdirSync("/proc").filter((pid) => ids.includes(monitored(pid) ?? ""));
  if (monitors.length !== ids.length) throw new Error(`found ${monitors.length} monitors of ${ids.length} containers`);
  const megabytes = monitors.map((pid) => pssMegabytes(Number(pid)));
  for (const id of ids) await runtime.remove(id);
  return summarize("container-pss", "MB", megabytes);
}

/** The container that a process looks after, as its title says. */
function monitored(pid: string): string | undefined {
  if (!/^\d+$/.test(pid)) return undefined;
  try {
    return /^naru-monitor ([^\0]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, "latin1"))?.[1];
  } catch {
    return undefined;
  }
}

export function pssMegabytes(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? Number.NaN) / 1024;
}

if (import.meta.main) console.table(await benchContainer());
