// The cluster of `naru up`: virtual hosts, one server, an agent on each host; begun in order, ended in reverse.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { nodes as nodeResource } from "../../api/kinds/generated/resources.ts";
import type { Node } from "../../api/kinds/generated/types.ts";
import { realClock } from "../../lib/clock.ts";
import { type Hosts, openHosts } from "../../node-agent/network/hosts.ts";
import { type Connection, connectWith } from "../connection.ts";
import { pathOf } from "../resources.ts";
import { type Child, leftChildren, startChild } from "./children.ts";
import { agentCommand, apiPort, type CommandContext, launcherPath, serverCommand, sessionPort } from "./commands.ts";
import { startDemo } from "./demo.ts";
import { relayLocalPorts } from "./local-relay.ts";
import { lockCluster } from "./lock.ts";
import { checkPorts } from "./ports.ts";
import { stopAgents } from "./stop-agents.ts";
import { sweepCluster } from "./sweep.ts";

export interface ClusterOptions {
  readonly name: string;
  readonly nodes: number;
  readonly demo: boolean;
  readonly dataDir: string;
  readonly insecureRegistries: readonly string[];
  readonly ociRuntimes: readonly string[];
  readonly dockerListen?: string;
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

const startMsMax = 60_000;
/** Much longer than pods may take to end: an agent that hangs is killed, and what it left is swept. */
const serverStopMsMax = 10_000;
/** A server that ends so often before it ever served will not serve. */
const serverEndsMax = 3;

/** Runs until the signal is aborted, and leaves nothing but state. An end before it is ready rejects with the signal's reason. */
export async function runCluster(
  options: ClusterOptions,
  listener: ClusterListener,
  signal: AbortSignal,
): Promise<void> {
  const { name, dataDir } = options;
  const runDir = `/run/naru/${name}`;
  await using stack = new AsyncDisposableStack();
  stack.use(lockCluster({ name, runDir, dataDir }));
  const cgroup = cgroupOf(name);
  const sweep = () => sweepCluster({ runDir, dataDir, cgroup }, leftChildren(runDir));
  await sweep();
  stack.defer(() => rmSync(runDir, { recursive: true, force: true }));
  const hosts = stack.use(await openSameHosts(options, runDir));
  // What an agent could not clear away, because it was killed or had not come up yet.
  stack.defer(sweep);
  const context = { name, dataDir, runDir, cgroup, gateway: hosts.gateway, logLevel: options.logLevel };
  try {
    const facts = await begin(options, { context, hosts, listener, stack }, signal);
    listener.ready(facts);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

interface Ground {
  readonly context: CommandContext;
  readonly hosts: Hosts;
  readonly listener: ClusterListener;
  /** Ends what is begun. */
  readonly stack: AsyncDisposableStack;
}

async function begin(options: ClusterOptions, ground: Ground, signal: AbortSignal): Promise<ClusterFacts> {
  const { context, hosts, listener, stack } = ground;
  const { say } = listener;
  const { dataDir, runDir, gateway } = context;
  await checkPorts(gateway, [apiPort, sessionPort]);
  const child = { logDir: join(dataDir, "logs"), runDir, onRestart: say };
  const kubeconfig = join(dataDir, "kubeconfig");
  rmSync(kubeconfig, { force: true });
  say("starting the server");
  const server = startChild({ ...child, name: "server", command: serverCommand(context, options.storeUrl) });
  stack.defer(() => server.stop(serverStopMsMax));
  const connection = await untilServing(kubeconfig, server, signal);
  stack.defer(() => connection.close());
  const { token } = await connection.send<{ token: string }>("POST", "/naru/v1/tokens", {
    body: { ttlSeconds: 3600 },
    signal,
  });
  // Nodes of an earlier run still look Ready for a moment: only those that have dialled in since count.
  const earlier = new Map((await listNodes(connection, signal)).map((node) => [node.metadata?.name, sessionOf(node)]));
  const nodeNames = hosts.list.map((host) => host.name);
  await forgetNodes(connection, { present: [...earlier.keys()], nodeNames }, signal);
  say(`starting ${hosts.list.length} ${hosts.list.length === 1 ? "node" : "nodes"}`);
  const resources = { ...options, memory: options.memory ?? String(Math.floor(totalmem() / hosts.list.length)) };
  const agents = hosts.list.map((host) =>
    startChild({
      ...child,
      name: host.name,
      command: agentCommand(context, host, resources),
      env: { NARU_TOKEN: token },
    }),
  );
  // Agents end first, all at once, while the server still listens to their last words.
  stack.defer(() => stopAgents(agents, { cgroup: context.cgroup, say }));
  await untilReady(connection, { names: nodeNames, earlier }, signal);
  const doors = hosts.list.map(({ name, address }) => ({
    ...{ name, address },
    socketPath: join(runDir, name, "docker.sock"),
    dockerDir: join(dataDir, name, "docker"),
  }));
  stack.use(relayLocalPorts({ doors, clock: realClock, say }));
  const demo = options.demo ? await startDemo(connection, say, signal) : undefined;
  return { kubeconfig, nodeNames, url: demo?.url };
}

function cgroupOf(name: string): string {
  return name === "naru" ? "/naru" : `/naru-${name}`;
}

async function untilServing(kubeconfig: string, server: Child, signal: AbortSignal): Promise<Connection> {
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
    if (server.ends >= serverEndsMax)
      throw new Error(`the server cannot start: ${lastLineOf(server.logPath)}\nits log: ${server.logPath}`);
    if (performance.now() > untilMs)
      throw new Error(`the server did not start within ${startMsMax / 1000} s: its log is ${server.logPath}`);
    await delay(20);
  }
}

function lastLineOf(path: string): string {
  const line = readFileSync(path, "utf8").trimEnd().split("\n").at(-1) ?? "";
  return line.replace(/^Error: /, "");
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

// Of an earlier run with more nodes: they will not come, and nobody is to wait for them.
async function forgetNodes(
  connection: Connection,
  { present, nodeNames }: { readonly present: readonly (string | undefined)[]; readonly nodeNames: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  for (const name of present)
    if (name !== undefined && /^node-\d+$/.test(name) && !nodeNames.includes(name))
      await connection.send("DELETE", pathOf(nodeResource, undefined, name), { signal });
}

function sessionOf({ metadata }: Node): string | undefined {
  return metadata?.annotations?.["naru.dev/session"];
}

// The addresses of the last run are kept where they are still free, so that URLs and kubeconfigs stay true.
async function openSameHosts({ name, nodes, subnet, dataDir }: ClusterOptions, runDir: string): Promise<Hosts> {
  const hosts = Array.from({ length: nodes }, (_, i) => `node-${i + 1}`);
  const path = join(dataDir, "subnet");
  const preferredSubnet = existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
  const opened = await openHosts({
    ...{ cluster: name, hosts, runDir, launcherPath },
    ...(subnet === undefined ? {} : { subnet }),
    ...(preferredSubnet === undefined ? {} : { preferredSubnet }),
  });
  writeFileSync(path, `${opened.subnet}\n`);
  return opened;
}
