// A whole cluster for a test: `naru up` as a user starts it, on a folder of its own, with the means to break its nodes.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { nodes as nodeResource } from "../../api/kinds/generated/resources.ts";
import { type HttpClient, httpClient } from "../../client/http.ts";
import { readKubeconfig } from "../../client/kubeconfig.ts";
import { hostLinkOf } from "../../node-agent/network/hosts.ts";
import { launcherCommand } from "../../node-agent/network/launcher-command.ts";
import { setLink } from "../../node-agent/network/links.ts";
import { perform } from "../../node-agent/network/netlink.ts";
import { makeTestFolder, ownTest } from "../folders.ts";
import { newKubectl, oldKubectl } from "../kubectl.ts";
import { removeDeadTests } from "./dead-tests.ts";
import { type Place, processesOf, removeRemains } from "./remains.ts";

export interface ClusterOptions {
  readonly nodes?: number;
  /** Further words for `naru up`. */
  readonly args?: readonly string[];
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
}

export interface TestNode {
  readonly name: string;
  readonly address: string;
}

export interface TestCluster extends AsyncDisposable {
  readonly place: Place;
  readonly kubeconfig: string;
  readonly nodes: readonly TestNode[];
  readonly client: HttpClient;
  /** What `naru up` has printed so far. */
  readonly output: () => readonly string[];
  naru(args: readonly string[], options?: RunOptions): Promise<Output>;
  kubectl(version: "old" | "new", args: readonly string[], options?: RunOptions): Promise<Output>;
  /** Kills every process of the node, containers too; nothing starts again before `reviveNode`. */
  killNode(name: string): void;
  reviveNode(): void;
  cutNode(name: string): Promise<void>;
  restoreNode(name: string): Promise<void>;
  /** Sends a signal to `naru up` itself and resolves with its exit code; null when it was killed. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
  /** Its process. */
  readonly up: ChildProcess;
}

export const naruPath = new URL("../../bin/naru", import.meta.url).pathname;
const launcherPath = new URL("../../node-agent/launcher/build/naru-launcher", import.meta.url).pathname;
const runMsMax = 60_000;

/** A place for a new cluster; what tests that were killed left behind is removed first. */
export async function newPlace(...more: readonly string[]): Promise<Place> {
  await removeDeadTests(launcherPath);
  const name = [ownTest, ...more].join("-");
  return { name, dataDir: makeTestFolder("data"), runDir: `/run/naru/${name}`, cgroup: `/naru-${name}`, launcherPath };
}

export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const place = await newPlace();
  try {
    return await startAt(place, options);
  } catch (error) {
    await removeRemains(place);
    throw error;
  }
}

/** `naru up` on a place that may hold an earlier state. */
export function spawnUp(place: Place, options: ClusterOptions = {}): ChildProcess {
  const words = ["up", "--name", place.name, "--data", place.dataDir, "--nodes", String(options.nodes ?? 3)];
  return spawn(naruPath, [...words, ...(options.args ?? [])], { stdio: ["ignore", "pipe", "pipe"] });
}

/** Starts `naru up` and waits until it is ready. */
export async function startAt(place: Place, options: ClusterOptions = {}): Promise<TestCluster> {
  const up = spawnUp(place, options);
  const endWithTest = () => up.kill("SIGTERM");
  process.once("exit", endWithTest);
  up.once("exit", () => process.removeListener("exit", endWithTest));
  const printed: string[] = [];
  const facts = await readFacts(up, printed);
  const client = httpClient({ connection: await readKubeconfig(facts.kubeconfig) });
  const { items } = await client.list(nodeResource);
  const nodes = items
    .map(({ metadata, status }) => ({
      name: metadata?.name ?? "",
      address: status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "",
    }))
    .sort((a, b) => a.name.localeCompare(b.name));
  const env = { ...process.env, KUBECONFIG: facts.kubeconfig, HOME: place.dataDir };
  const setHost = (name: string, state: { readonly up: boolean }) => {
    const link = hostLinkOf(place.name, name);
    return perform(launcherCommand(launcherPath), [{ what: `set ${link}`, message: setLink(link, state) }]);
  };
  const stop = async (signal: NodeJS.Signals) => {
    if (up.exitCode === null && up.signalCode === null) {
      const ended = once(up, "exit");
      up.kill("SIGCONT");
      up.kill(signal);
      await ended;
    }
    return up.exitCode;
  };
  return {
    place,
    kubeconfig: facts.kubeconfig,
    nodes,
    client,
    output: () => printed,
    naru: (args, run) => runProgram(naruPath, args, { env, ...run }),
    kubectl: async (version, args, run) =>
      runProgram(version === "old" ? await oldKubectl() : await newKubectl(), args, { env, ...run }),
    killNode: (name) => {
      // `naru up` would start the agent again at once: it holds still while the machine is "off".
      up.kill("SIGSTOP");
      killAll(() => processesOf(place, name));
    },
    reviveNode: () => void up.kill("SIGCONT"),
    cutNode: async (name) => void (await setHost(name, { up: false })),
    restoreNode: async (name) => void (await setHost(name, { up: true })),
    stop,
    up,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      await stop("SIGTERM");
      await removeRemains(place);
    },
  };
}

async function readFacts(up: ChildProcess, printed: string[]): Promise<{ readonly kubeconfig: string }> {
  let complaints = "";
  up.stderr?.on("data", (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  await new Promise<void>((resolve, reject) => {
    up.once("error", reject);
    up.once("exit", (code) =>
      reject(new Error(`naru up ended with code ${code}:\n${printed.join("\n")}\n${complaints}`)),
    );
    if (up.stdout === null) return;
    createInterface({ input: up.stdout }).on("line", (line) => {
      printed.push(line);
      if (line.startsWith("ready in ")) resolve();
    });
  });
  const kubeconfig = printed.find((line) => line.startsWith("kubeconfig: "))?.slice("kubeconfig: ".length);
  if (kubeconfig === undefined) throw new Error(`naru up named no kubeconfig:\n${printed.join("\n")}`);
  return { kubeconfig };
}

// A process may fork while we look: we go on until none is left.
function killAll(find: () => readonly number[]): void {
  for (let pids = find(); pids.length > 0; pids = find()) {
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
  }
}

/** Runs a program to its end; a code other than 0 is an answer, not an error. */
export function runProgram(
  program: string,
  args: readonly string[],
  { input, timeoutMs = runMsMax, ...options }: RunOptions & { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string },
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { ...options, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number")
          reject(new Error(`${program} ${args.join(" ")}: ${stdout}${stderr}`, { cause: error }));
        else resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      },
    );
    // It may end without reading.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input ?? "");
  });
}
