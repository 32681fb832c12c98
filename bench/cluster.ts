// A real cluster of three nodes: how long until declared pods are Ready, deleted, replaced after a node's death, and what it all costs idle.
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { isTrue } from "../api/kinds/conditions.ts";
import { deployments, pods } from "../api/kinds/generated/resources.ts";
import type { Deployment, Pod } from "../api/kinds/generated/types.ts";
import { type HttpClient, httpClient } from "../client/http.ts";
import { type Informer, startInformer } from "../client/informer.ts";
import { readKubeconfig } from "../client/kubeconfig.ts";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { type Result, summarize } from "./result.ts";

const root = new URL("..", import.meta.url).pathname;
const cluster = `naru-bench-${process.pid}`;
const idleMs = 20_000;
/** Starting up is over by then, its garbage collected. */
const settleMs = 12_000;

interface Running {
  readonly process: ChildProcess;
  readonly dataDir: string;
  readonly client: HttpClient;
  readonly pods: Informer<Pod>;
}

export async function benchCluster(): Promise<readonly Result[]> {
  const running = await start(3);
  try {
    const idle = await measureIdle(running.dataDir);
    await measureRollout(running, 1);
    const one: Rollout[] = [];
    for (let i = 0; i < 30; i++) one.push(await measureRollout(running, 1));
    const hundred: Rollout[] = [];
    for (let i = 0; i < 5; i++) hundred.push(await measureRollout(running, 100));
    const bound: number[] = [];
    for (let i = 0; i < 30; i++) bound.push(await measureBound(running));
    return [
      summarize(
        "apply-ready-1",
        "ms",
        one.map(({ readyMs }) => readyMs),
      ),
      summarize(
        "apply-ready-100",
        "ms",
        hundred.map(({ readyMs }) => readyMs),
      ),
      summarize(
        "delete-100",
        "ms",
        hundred.map(({ deletedMs }) => deletedMs),
      ),
      summarize("pod-bound-ready", "ms", bound),
      summarize("node-death", "ms", [await measureNodeDeath(running)]),
      ...idle,
    ];
  } finally {
    await stop(running);
  }
}

/** density-500 (s): 500 pods of one Deployment on five nodes of this machine, from its creation until all are Ready. */
export async function benchDensity(): Promise<readonly Result[]> {
  const running = await start(5);
  try {
    await measureRollout(running, 1);
    const { readyMs } = await measureRollout(running, 500);
    return [summarize("density-500", "s", [readyMs / 1000])];
  } finally {
    await stop(running);
  }
}

async function start(nodes: number): Promise<Running> {
  const dataDir = await mkdtemp(join(tmpdir(), "naru-bench-"));
  const child = spawn(
    `${root}bin/naru`,
    ["up", "--name", cluster, "--nodes", String(nodes), "--demo", "--data", dataDir],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) if (line.startsWith("ready in")) break;
  child.stdout.resume();
  const client = httpClient({ connection: await readKubeconfig(join(dataDir, "kubeconfig")) });
  const informer = startInformer({ client, resource: pods, clock: realClock, random: realRandom(), log: silentLogger });
  await informer.whenSynced;
  return { process: child, dataDir, client, pods: informer };
}

async function stop({ process: child, dataDir, client, pods: informer }: Running): Promise<void> {
  await informer[Symbol.asyncDispose]();
  client[Symbol.dispose]();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exited;
  rmSync(dataDir, { recursive: true, force: true });
}

interface Rollout {
  readonly readyMs: number;
  readonly deletedMs: number;
}

let made = 0;

async function measureRollout({ client, pods: informer }: Running, replicas: number): Promise<Rollout> {
  const name = `bench-${++made}`;
  const mine = () => [...informer.list()].filter(({ metadata }) => metadata?.labels?.["bench"] === name);
  const startMs = performance.now();
  await client.create(deployments, deployment(name, replicas));
  await until(informer, () => mine().filter(isReady).length === replicas);
  const readyMs = performance.now() - startMs;
  const deleteMs = performance.now();
  await client.delete(deployments, { namespace: "default", name }, { propagationPolicy: "Background" });
  await until(informer, () => mine().length === 0);
  return { readyMs, deletedMs: performance.now() - deleteMs };
}

// A pod that is bound when it is created, and has no probe: from the news of it to the news that it is Ready.
async function measureBound({ client, pods: informer }: Running): Promise<number> {
  const name = `bench-bound-${++made}`;
  const labels = { bench: name };
  const mine = () => [...informer.list()].find(({ metadata }) => metadata?.name === name);
  const seen = until(informer, () => mine() !== undefined).then(() => performance.now());
  const ready = until(informer, () => mine() !== undefined && isReady(mine() as Pod)).then(() => performance.now());
  await client.create(pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "default", name, labels },
    spec: { nodeName: "node-1", containers: [{ name: "hello", image: "naru.local/hello:1" }] },
  });
  const durationMs = (await ready) - (await seen);
  await client.delete(pods, { namespace: "default", name }, { gracePeriodSeconds: 0 });
  await until(informer, () => mine() === undefined);
  return durationMs;
}

// Everything of one node is killed at once: agent, launcher, monitors and containers.
async function measureNodeDeath({ process: up, client, dataDir, pods: informer }: Running): Promise<number> {
  const name = "bench-death";
  const ready = () =>
    [...informer.list()].filter(
      (pod) => pod.metadata?.labels?.["bench"] === name && isReady(pod) && pod.metadata.deletionTimestamp === undefined,
    );
  await client.create(deployments, deployment(name, 9));
  await until(informer, () => ready().length === 9);
  // Nobody is to start the node again: it would be back before anybody missed it.
  up.kill("SIGSTOP");
  const startMs = performance.now();
  for (const pid of processesOf("node-3", dataDir)) process.kill(pid, "SIGKILL");
  await until(informer, () => ready().filter(({ spec }) => spec?.nodeName !== "node-3").length === 9);
  const durationMs = performance.now() - startMs;
  up.kill("SIGCONT");
  return durationMs;
}

async function measureIdle(dataDir: string): Promise<readonly Result[]> {
  const server = processesOf("server", dataDir)[0] ?? 0;
  const agents = ["node-1", "node-2", "node-3"].map((node) => agentOf(node, dataDir));
  await delay(settleMs);
  const before = [server, agents[0] ?? 0].map(cpuTicks);
  await delay(idleMs);
  const after = [server, agents[0] ?? 0].map(cpuTicks);
  const ticks = after.reduce((sum, value, i) => sum + value - (before[i] ?? 0), 0);
  return [
    summarize("rss-server", "MB", [rssMegabytes(server)]),
    summarize("rss-agent", "MB", agents.map(rssMegabytes)),
    summarize("cpu-idle", "%", [(ticks * 10) / (idleMs / 100)]),
  ];
}

function processesOf(child: string, dataDir: string): readonly number[] {
  const marks =
    child === "server"
      ? [`\0server\0--data\0${dataDir}\0`]
      : [`${dataDir}/${child}\0`, `/run/naru/${cluster}/${child}/`];
  const byName = allProcesses().filter(({ commandLine }) => marks.some((mark) => commandLine.includes(mark)));
  return [...new Set([...byName.map(({ pid }) => pid), ...(child === "server" ? [] : inCgroup(child))])];
}

function agentOf(node: string, dataDir: string): number {
  return (
    allProcesses().find(
      ({ commandLine }) => commandLine.includes("\0agent\0") && commandLine.includes(`${dataDir}/${node}\0`),
    )?.pid ?? 0
  );
}

function allProcesses(): readonly { readonly pid: number; readonly commandLine: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), commandLine: readOr(`/proc/${name}/cmdline`) }));
}

function inCgroup(node: string): readonly number[] {
  const folder = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
    .map((base) => `${base}/naru-${cluster}/${node}`)
    .find((path) => readOr(`${path}/cgroup.procs`, "none") !== "none");
  if (folder === undefined) return [];
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith("cgroup.procs"),
  );
  return files.flatMap((path) => readOr(`${folder}/${path}`).split("\n").filter(Boolean).map(Number));
}

function cpuTicks(pid: number): number {
  const fields = readOr(`/proc/${pid}/stat`).split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}

function rssMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}

function readOr(path: string, otherwise = ""): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

function isReady(pod: Pod): boolean {
  return isTrue(pod.status?.conditions, "Ready");
}

function until(informer: Informer<Pod>, holds: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = false;
    const timer = setTimeout(() => reject(new Error("not within a minute")), 60_000);
    const look = () => {
      if (done || !holds()) return;
      done = true;
      clearTimeout(timer);
      resolve();
    };
    informer.onChange(look);
    look();
  });
}

function deployment(name: string, replicas: number): Deployment {
  const labels = { bench: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace: "default", name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: "hello",
              image: "naru.local/hello:1",
              ports: [{ containerPort: 8080 }],
              readinessProbe: { httpGet: { path: "/healthz", port: 8080 } },
            },
          ],
        },
      },
    },
  };
}
