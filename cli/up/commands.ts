// The command lines of the processes that `naru up` runs. Pure.
import { join } from "node:path";
import type { Host } from "../../node-agent/network/hosts.ts";

export interface CommandContext {
  readonly name: string;
  readonly dataDir: string;
  readonly runDir: string;
  readonly cgroup: string;
  /** The machine's own address on the hosts' bridge, where the server listens. */
  readonly gateway: string;
  readonly logLevel: string;
}

export interface NodeResources {
  readonly cpus?: string;
  readonly memory: string;
  readonly insecureRegistries: readonly string[];
  readonly ociRuntimes: readonly string[];
  readonly dockerListen?: string;
}

export const launcherPath = new URL("../../node-agent/launcher/build/naru-launcher", import.meta.url).pathname;
export const apiPort = 6443;
export const sessionPort = 6444;

/** Knows what a server and an agent want of Node and the C library. */
const naru = new URL("../../bin/naru", import.meta.url).pathname;

export function serverCommand(context: CommandContext, storeUrl: string | undefined): readonly string[] {
  const { dataDir, gateway, logLevel } = context;
  return [
    ...[naru, "server"],
    ...["--data", dataDir],
    ...["--address", gateway, "--advertise", gateway],
    ...["--port", String(apiPort), "--node-port", String(sessionPort)],
    // The agents are started after the server, on a machine that may be busy.
    ...["--start-grace", "15000"],
    ...["--log-level", logLevel],
    ...(storeUrl === undefined ? [] : ["--store", storeUrl]),
  ];
}

/** A laptop's disk is often nine tenths full: only when next to nothing is left, its owner wants pods to end. */
const evictionHard = "memory.available<100Mi,nodefs.available<1Gi,nodefs.inodesFree<1%,pid.available<5%";

export function agentCommand(context: CommandContext, host: Host, resources: NodeResources): readonly string[] {
  const { dataDir, runDir, cgroup, gateway, logLevel } = context;
  return [
    ...[launcherPath, "netns-run", host.networkPath, "--"],
    ...[naru, "agent"],
    ...["--server", `https://${gateway}:${apiPort}`, "--node-port", String(sessionPort)],
    ...["--name", host.name, "--address", host.address],
    ...["--data", join(dataDir, host.name), "--run", join(runDir, host.name)],
    ...["--cgroup", `${cgroup}/${host.name}`],
    ...["--memory", resources.memory],
    "--stop-pods",
    ...["--eviction-hard", evictionHard, "--image-gc-high-threshold", "97", "--image-gc-low-threshold", "95"],
    ...["--log-level", logLevel],
    ...(resources.cpus === undefined ? [] : ["--cpus", resources.cpus]),
    ...(resources.dockerListen === undefined ? [] : ["--docker-listen", resources.dockerListen]),
    ...resources.ociRuntimes.flatMap((runtime) => ["--oci-runtime", runtime]),
    ...resources.insecureRegistries.flatMap((registry) => ["--insecure-registry", registry]),
  ];
}
