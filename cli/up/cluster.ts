// The cluster of `naru up`: virtual hosts, one server, an agent on each host; begun in order, ended in reverse.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { nodes as nodeResource } from "../../api/kinds/generated/resources.ts";
import type { Node } from "../../api/kinds/generated/types.ts";
import { realClock } from "../../lib/clock.ts";
import { type Hosts, type HostsOptions, openHosts } from "../../node-agent/network/hosts.ts";
import { readMountinfo, removeTree } from "../../node-agent/runtime/cgroup-files.ts";
import { detectCgroups } from "../../node-agent/runtime/cgroups.ts";
import { type Connection, connectWith } from "../connection.ts";
import { pathOf } from "../resources.ts";
import { type Child, endLeftover, startChild } from "./children.ts";
import { startDemo } from "./demo.ts";

export interface ClusterOptions {
  readonly name: string;
  readonly nodes: number;
  readonly demo: boolean;
  readonly dataDir: string;
  readonly insecureRegistries: readonly string[];
  readonly logLevel: string;
  readonly storeUrl?: string;
  readonly subnet?: string;
  readonly cpus?: string;
  readonly memory?: string;
}

export interface ClusterFacts {
  readonly kubeconfig: string;
  readonly nodeNames: readonly string[];
  readonly url: string | undefined;
}

export interface ClusterListener {
  readonly say: (text: string) => void;
  readonly ready: (facts: ClusterFacts) => void;
}

const main = new URL("../main.ts", import.meta.url).pathname;
const launcher = new URL("../../node-agent/launcher/build/naru-launcher", import.meta.url).pathname;
const apiPort = 6443;
const sessionPort = 6444;
const startMsMax = 60_000;
const stopMsMax = 40_000;

export async function runCluster(
  options: ClusterOptions,
  { say, ready }: ClusterListener,
  signal: AbortSignal,
): Promise<void> {
  const { name, dataDir } = options;
  const runDir = `/run/naru/${name}`;
  const nodeNames = Array.from({ length: options.nodes }, (_, i) => `node-${i + 1}`);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  using _lock = lock(runDir, name);
  for (const child of ["server", ...nodeNames]) await endLeftover(child, runDir, dataDir);

  const children: Child[] = [];
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(runDir, { recursive: true, force: true }));
  stack.defer(() => removeCgroups(cgroupOf(name)));
  const hosts = stack.use(
    await openSameHosts(
      {
        cluster: name,
        hosts: nodeNames,
        runDir,
        launcherPath: launcher,
        ...(options.subnet === undefined ? {} : { subnet: options.subnet }),
      },
      dataDir,
    ),
  );
  // Agents end first, all at once, while the server still listens to their last words.
  stack.defer(async () => {
    say("stopping");
    const [server, ...agents] = children;
    await Promise.all(agents.map((agent) => agent.stop(stopMsMax)));
    await server?.stop(10_000);
  });

  const command = [process.execPath, "--disable-warning=ExperimentalWarning"];
  const start = (child: string, words: readonly string[]) =>
    children.push(startChild({ name: child, command: words, logDir: join(dataDir, "logs"), runDir, onRestart: say }));
  const advertise = hosts.gateway;
  const url = `https://${advertise}:${apiPort}`;
  const kubeconfig = join(dataDir, "kubeconfig");
  rmSync(kubeconfig, { force: true });
  start("server", [
    ...command,
    "--max-semi-space-size=2",
    main,
    "server",
    "--data",
    dataDir,
    "--address",
    advertise,
    "--advertise",
    advertise,
    "--port",
    String(apiPort),
    "--node-port",
    String(sessionPort),
    "--log-level",
    options.logLevel,
    ...(options.storeUrl === undefined ? [] : ["--store", options.storeUrl]),
  ]);
  say("starting the server");
  const connection = await untilServing(kubeconfig, children[0]?.logPath ?? "", signal);
  stack.defer(() => connection.close());
  const { token } = await connection.send<{ token: string }>("POST", "/naru/v1/tokens", {
    body: { ttlSeconds: 3600 },
    signal,
  });
  // Nodes of an earlier run still look Ready for a moment: only those that have dialled in since count.
  const earlier = new Map((await listNodes(connection, signal)).map((node) => [node.metadata?.name, sessionOf(node)]));
  say(`starting ${options.nodes} ${options.nodes === 1 ? "node" : "nodes"}`);
  const memory = options.memory ?? String(Math.floor(totalmem() / options.nodes));
  for (const host of hosts.list) {
    start(host.name, [
      launcher,
      "netns-run",
      host.networkPath,
      "--",
      ...command,
      "--max-semi-space-size=1",
      main,
      "agent",
      "--server",
      url,
      "--node-port",
      String(sessionPort),
      "--join",
      token,
      "--name",
      host.name,
      "--address",
      host.address,
      "--data",
      join(dataDir, host.name),
      "--run",
      join(runDir, host.name),
      "--cgroup",
      `${cgroupOf(name)}/${host.name}`,
      "--memory",
      memory,
      "--stop-pods",
      "--log-level",
      options.logLevel,
      ...(options.cpus === undefined ? [] : ["--cpus", options.cpus]),
      ...options.insecureRegistries.flatMap((registry) => ["--insecure-registry", registry]),
    ]);
  }
  await untilReady(connection, { names: nodeNames, earlier }, signal);
  const demo = options.demo ? await startDemo(connection, say, signal) : undefined;
  ready({ kubeconfig, nodeNames, url: demo?.url });
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

async function removeCgroups(parent: string): Promise<void> {
  const layout = detectCgroups(readMountinfo());
  if (layout !== undefined) await removeTree(layout, parent, realClock);
}

function cgroupOf(name: string): string {
  return name === "naru" ? "/naru" : `/naru-${name}`;
}

// One `naru up` per cluster: the second says who is first.
function lock(runDir: string, name: string): Disposable {
  const path = join(runDir, "up.pid");
  if (existsSync(path)) {
    const pid = Number(readFileSync(path, "utf8"));
    const commandLine = existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
    if (pid !== process.pid && commandLine.includes("\0up\0"))
      throw new Error(
        `the cluster ${name} is running already, as process ${pid}; end it first, or give this one another --name`,
      );
  }
  writeFileSync(path, String(process.pid));
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

async function untilServing(kubeconfig: string, logPath: string, signal: AbortSignal): Promise<Connection> {
  const untilMs = performance.now() + startMsMax;
  for (;;) {
    signal.throwIfAborted();
    if (existsSync(kubeconfig)) {
      const connection = await connectWith(kubeconfig);
      try {
        await connection.send("GET", "/version", { signal });
        return connection;
      } catch {
        connection.close();
      }
    }
    if (performance.now() > untilMs)
      throw new Error(`the server did not start within ${startMsMax / 1000} s: its log is ${logPath}`);
    await delay(20);
  }
}

async function untilReady(
  connection: Connection,
  {
    names,
    earlier,
  }: { readonly names: readonly string[]; readonly earlier: ReadonlyMap<string | undefined, string | undefined> },
  signal: AbortSignal,
): Promise<void> {
  const untilMs = performance.now() + startMsMax;
  for (;;) {
    signal.throwIfAborted();
    const present = await listNodes(connection, signal);
    const waiting = names.filter((name) => {
      const node = present.find(({ metadata }) => metadata?.name === name);
      if (node?.spec?.podCIDR === undefined || sessionOf(node) === earlier.get(name)) return true;
      return conditionOf(node.status?.conditions, "Ready")?.status !== "True";
    });
    if (waiting.length === 0) return;
    if (performance.now() > untilMs) {
      throw new Error(
        `${waiting.join(", ")} not Ready within ${startMsMax / 1000} s: their logs are in the data folder's logs/`,
      );
    }
    await delay(30);
  }
}

async function listNodes(connection: Connection, signal: AbortSignal): Promise<readonly Node[]> {
  return (await connection.send<{ items: Node[] }>("GET", pathOf(nodeResource, undefined), { signal })).items;
}

function sessionOf({ metadata }: Node): string | undefined {
  return metadata?.annotations?.["naru.dev/session"];
}

// The addresses of the last run are kept where they are still free, so that URLs and kubeconfigs stay true.
async function openSameHosts(options: HostsOptions, dataDir: string): Promise<Hosts> {
  const path = join(dataDir, "subnet");
  const last = options.subnet ?? (existsSync(path) ? readFileSync(path, "utf8").trim() : undefined);
  const hosts = await openHosts(last === undefined ? options : { ...options, subnet: last }).catch((error: unknown) => {
    if (options.subnet !== undefined || last === undefined) throw error;
    return openHosts(options);
  });
  writeFileSync(path, `${hosts.subnet}\n`);
  return hosts;
}
