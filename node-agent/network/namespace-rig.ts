// For tests: network namespaces with a program inside that does what the test asks for (namespace-probe.ts).
import { type ChildProcess, spawn } from "node:child_process";
import { launcherCommand } from "./launcher-command.ts";
import type { LinuxNetworkOptions } from "./linux.ts";
import { type NamespaceStep, perform } from "./netlink.ts";

export const launcherPath = new URL("../launcher/build/naru-launcher", import.meta.url).pathname;
const probePath = new URL("./namespace-probe.ts", import.meta.url).pathname;

export interface Probe extends AsyncDisposable {
  /** Calls a function of namespace-probe.ts; rejects with its error's message. */
  call(name: string, ...args: readonly unknown[]): Promise<unknown>;
  /** As the kernel or an operator would: without warning. */
  kill(): Promise<void>;
}

/** Options that can go to another process. */
export type ProbeNetworkOptions = Pick<
  LinuxNetworkOptions,
  "stateDir" | "clusterCidrs" | "serviceCidr" | "clusterDomain" | "backend" | "upstreams"
>;

export function startProbe(netns: string): Probe {
  const args = ["netns-run", netns, "--", process.execPath, "--disable-warning=ExperimentalWarning", probePath];
  const child = spawn(launcherPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let lastId = 0;
  child.on("message", (message: { id: number; value?: unknown; error?: string }) => {
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) call?.resolve(message.value);
    else call?.reject(new Error(message.error));
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void ended.then(() => {
    for (const call of waiting.values()) call.reject(new Error("the probe ended"));
  });
  return {
    call: (name, ...rest) => {
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        child.send({ id, name, args: rest });
      });
    },
    kill: () => end(child, ended),
    [Symbol.asyncDispose]: () => end(child, ended),
  };
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  await ended;
}

export async function makeNamespaces(paths: readonly string[]): Promise<void> {
  await change("make", paths);
}

export async function dropNamespaces(paths: readonly string[]): Promise<void> {
  await change("drop", paths);
}

async function change(namespace: "make" | "drop", paths: readonly string[]): Promise<void> {
  const steps = paths.map((netns): NamespaceStep => ({ what: `${namespace} ${netns}`, namespace, netns }));
  await perform(launcherCommand(launcherPath), steps);
}
