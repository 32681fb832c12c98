// One run: a whole cluster in this process on virtual time, faults and users drawn from a seed, invariants looked at all the while.
import type { Client } from "../../client/client.ts";
import { sleep } from "../../lib/clock.ts";
import { type Logger, silentLogger } from "../../lib/log.ts";
import { fraction, seededRandom } from "../../lib/random.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { openBatchWorkload } from "./batch.ts";
import { unsettled } from "./convergence.ts";
import { type Fault, planFaults } from "./faults.ts";
import { type Observed, violations } from "./invariants.ts";
import { cpusOf, openMachines } from "./machines.ts";
import { openNetwork } from "./network.ts";
import { type SimulatedServer, startServer } from "./server.ts";
import { type DiskWeather, fairDisk, openDisk } from "./store.ts";
import { openTrace } from "./trace.ts";
import { openWorkload } from "./workload.ts";
import { openWorld } from "./world.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How long faults and users go on; virtual. */
  readonly durationMs: number;
  readonly onLine?: (line: string) => void;
  readonly log?: Logger;
  /** For tests of the simulator itself: breaks something on purpose. */
  readonly sabotage?: (observed: Observed, atMs: number) => void;
}

export interface SimulationResult {
  readonly seed: number;
  /** Empty: every invariant held, and all converged. */
  readonly failures: readonly string[];
  /** Equal for two runs of the same seed and options. */
  readonly hash: string;
  readonly lines: number;
  readonly lastLines: readonly string[];
  readonly faults: number;
  readonly commits: number;
  readonly pods: number;
  /** From the end of the faults until everything was as declared. */
  readonly convergedMs: number;
}

const lookEveryMs = 250;
const convergeMsMax = 180_000;
const quietMs = 15_000;
/** How much of what users do is about DaemonSets and Jobs. */
const batchShare = 0.4;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, durationMs, log = silentLogger } = options;
  const clock = virtualClock();
  const random = seededRandom(seed);
  const fork = () => seededRandom(random.uint32());
  const trace = openTrace(clock, options.onLine);
  const { note } = trace;
  const world = openWorld();
  const names = Array.from({ length: options.nodes }, (_, i) => `node-${i + 1}`);

  const disks: DiskWeather[] = [];
  const store = openDisk({
    clock,
    random: fork(),
    weather: () => disks.at(-1) ?? fairDisk,
    onCommit: (transaction, revision) => {
      for (const { type, key, ...rest } of transaction.operations) {
        note("commit", revision, type, key, "value" in rest ? digest(rest.value) : "");
      }
      world.take(transaction);
    },
  });

  const serverRandom = fork();
  let server: SimulatedServer | undefined;
  let downUntilMs = 0;
  const startTheServer = () => {
    server = startServer({ store, clock, random: serverRandom, log, note });
  };
  const stopServer = async (downMs: number, end: (server: SimulatedServer) => Promise<void>) => {
    const stopped = server;
    server = undefined;
    const untilMs = clock.monotonicMs() + downMs;
    downUntilMs = Math.max(downUntilMs, untilMs);
    if (stopped !== undefined) await end(stopped);
    await sleep(clock, Math.max(0, downUntilMs - clock.monotonicMs()));
    if (server === undefined && clock.monotonicMs() >= downUntilMs) startTheServer();
  };

  const network = openNetwork(fork());
  const host = () => server?.host;
  const machines = openMachines({ names, clock, random: fork(), log, network, host, note });
  const cpuMilli = names.reduce((sum, name) => sum + cpusOf(name) * 1000, 0);
  const request = async <T>(run: (client: Client) => Promise<T>): Promise<T> => {
    const { client, process } = server ?? {};
    if (client === undefined || process === undefined) throw new Error("connection refused");
    const dies = new Promise<never>((_, reject) => process.onKill(() => reject(new Error("connection reset"))));
    return await Promise.race([run(client), dies]);
  };
  const workload = openWorkload({
    clock,
    random: fork(),
    nodes: names,
    podNames: () => [...world.pods.keys()],
    // What is left is enough for the largest pod, however the others lie.
    cpuMilliMax: cpuMilli * 0.4,
    note,
    request,
  });
  const batch = openBatchWorkload({ clock, random: fork(), note, request });
  const observed: Observed = { world, machines: machines.all, workload, batch };

  const begin = (fault: Fault): void => {
    note("fault", JSON.stringify(fault));
    const until = (forMs: number, end: () => void) => void clock.after(forMs, end);
    const weather = (forMs: number, disk: DiskWeather) => {
      disks.push(disk);
      until(forMs, () => disks.splice(disks.indexOf(disk), 1));
    };
    switch (fault.type) {
      case "node-crash":
        machines.crashMachine(fault.node, fault.downMs);
        return;
      case "agent-crash":
        machines.crashAgent(fault.node, fault.downMs);
        return;
      case "agent-restart":
        void machines.restartAgent(fault.node, fault.downMs);
        return;
      case "container-crash":
        machines.crashContainer(fault.node);
        return;
      case "bad-machine":
        machines.spoil(fault.node, fault.failing, fault.forMs);
        return;
      case "partition":
        until(fault.forMs, network.cut(fault.nodes, fault.cut));
        return;
      case "bad-network":
        until(fault.forMs, network.worsen(fault.nodes, fault.weather));
        return;
      case "server-crash":
        void stopServer(fault.downMs, async (one) => one.kill());
        return;
      case "server-restart":
        void stopServer(fault.downMs, (one) => one.stop());
        return;
      case "component-crash":
        server?.killComponent(fault.component, fault.downMs);
        return;
      case "slow-store":
        weather(fault.forMs, { delayMsMax: fault.delayMsMax, failing: 0 });
        return;
      case "failing-store":
        weather(fault.forMs, { delayMsMax: fairDisk.delayMsMax, failing: fault.failing });
        return;
    }
  };

  const failures: string[] = [];
  const look = (): boolean => {
    options.sabotage?.(observed, clock.monotonicMs());
    failures.push(...violations(observed));
    return failures.length === 0;
  };

  const planned = planFaults(fork(), { nodes: names, durationMs, everyMs: 700 });
  const users = fork();
  startTheServer();
  for (const name of names) clock.after(fraction(users) * 1000, () => machines.start(name));
  for (const { atMs, fault } of planned) clock.after(startMs + atMs, () => begin(fault));
  for (let atMs = startMs / 2; atMs < startMs + durationMs; atMs += fraction(users) * 1000) {
    clock.after(atMs, fraction(users) < batchShare ? batch.step : workload.step);
  }

  while (clock.monotonicMs() < startMs + durationMs && look()) await clock.advance(lookEveryMs);
  note("faults have stopped");
  const stoppedMs = clock.monotonicMs();
  let missing = unsettled(observed);
  while (failures.length === 0 && missing.length > 0 && clock.monotonicMs() < stoppedMs + convergeMsMax) {
    await clock.advance(lookEveryMs);
    look();
    missing = unsettled(observed);
  }
  const convergedMs = clock.monotonicMs() - stoppedMs;
  if (failures.length === 0) {
    failures.push(...missing.map((line) => `after ${convergeMsMax / 1000} s without faults: ${line}`));
  }
  if (failures.length === 0) failures.push(...(await restlessness(clock.advance, world, observed)));
  note("end", failures.length);
  return {
    seed,
    failures,
    hash: trace.hash(),
    lines: trace.lines,
    lastLines: trace.last,
    faults: planned.length,
    commits: world.commits,
    pods: world.pods.size,
    convergedMs,
  };
}

/** Until then only the cluster's start is simulated. */
const startMs = 4000;

// What has converged stays so, and writes nothing.
async function restlessness(
  advance: (durationMs: number) => Promise<void>,
  world: { readonly commits: number },
  observed: Observed,
): Promise<readonly string[]> {
  await advance(quietMs);
  const before = world.commits;
  await advance(quietMs);
  const written = world.commits - before;
  return [
    ...unsettled(observed).map((line) => `once converged, later: ${line}`),
    ...violations(observed),
    ...(written === 0 ? [] : [`${written} commits in ${quietMs / 1000} s in which nothing happened`]),
  ];
}

function digest(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16);
}
