// The end of the nodes of `naru up`: pods get time to end, what is left of them is told, and who asks a second time has it at once.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { readMountinfo } from "../../node-agent/runtime/cgroup-files.ts";
import { cgroupDirectories, detectCgroups } from "../../node-agent/runtime/cgroups.ts";
import type { Child } from "./children.ts";

/** An agent has so long: its pods' ten seconds, and what it has to clear away. */
const stopMsMax = 25_000;
const lookMs = 500;
/** npm passes on a signal that the terminal has sent us too: what comes so soon is the same one. */
const sameSignalMs = 700;

export async function stopAgents(
  agents: readonly Child[],
  { cgroup, say }: { readonly cgroup: string; readonly say: (text: string) => void },
): Promise<void> {
  say("stopping");
  const stopped = new AbortController();
  using _hurried = onSecondSignal(() => {
    say("ending what is left at once");
    for (const agent of agents) agent.hurry();
  });
  const telling = tellPods(cgroup, say, stopped.signal);
  await Promise.all(agents.map((agent) => agent.stop(stopMsMax)));
  stopped.abort();
  await telling;
}

async function tellPods(cgroup: string, say: (text: string) => void, signal: AbortSignal): Promise<void> {
  let told = 0;
  for (;;) {
    await delay(lookMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const left = podsBelow(cgroup);
    if (left > 0 && left !== told)
      say(
        `${left} ${left === 1 ? "pod is" : "pods are"} ending, for at most 10 s; Ctrl-C again ends ${left === 1 ? "it" : "them"} at once`,
      );
    told = left;
  }
}

/** Pods of all nodes that have processes still, by their cgroups. */
function podsBelow(cgroup: string): number {
  const layout = detectCgroups(readMountinfo());
  const [top] = layout === undefined ? [] : cgroupDirectories(layout, cgroup);
  if (top === undefined) return 0;
  const namesIn = (path: string): readonly string[] => {
    try {
      return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
    } catch {
      // It has just gone.
      return [];
    }
  };
  const groups = namesIn(top).flatMap((node) => ["", "burstable", "besteffort"].map((group) => join(top, node, group)));
  return groups.flatMap(namesIn).filter((name) => name.startsWith("pod")).length;
}

function onSecondSignal(act: () => void): Disposable {
  const beganMs = performance.now();
  const listen = () => {
    if (performance.now() - beganMs < sameSignalMs) return;
    stop();
    act();
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  const stop = () => {
    for (const signal of signals) process.off(signal, listen);
  };
  for (const signal of signals) process.on(signal, listen);
  return { [Symbol.dispose]: stop };
}
