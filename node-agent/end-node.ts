// An agent at work, and how it ends: the machine goes down and takes its pods along, the node is taken apart, or only the agent goes.
import type { Logger } from "../lib/log.ts";
import type { Agent } from "./agent.ts";
import type { AgentOptions } from "./agent-options.ts";
import type { DockerDoor } from "./docker-door.ts";
import { readMachineState } from "./machine-state.ts";
import type { Network } from "./network/network.ts";
import type { PodStorage } from "./pods/storage.ts";
import type { AgentSession } from "./session-types.ts";
import { shutdownGroups } from "./shutdown.ts";

/** How long the server is to wait for an agent that only restarts, or that ends its pods itself, before it replaces them. */
const backWithinMsDefault = 15_000;
const stopBackWithinMs = 30_000;
const shutdownMsDefault = 30_000;
const criticalShutdownMsDefault = 10_000;
const stopGraceMsDefault = 10_000;

export interface RunningNode {
  readonly options: AgentOptions;
  readonly log: Logger;
  readonly session: AgentSession;
  readonly agent: Agent;
  readonly docker: DockerDoor | undefined;
  readonly network: Pick<Network, "tearDown">;
  readonly runtime: { tearDown(): Promise<void> };
  readonly storage: Pick<PodStorage, "tearDown">;
}

/** Resolves when the signal is aborted, or the machine goes down, and all that is to end has ended. */
export async function runUntilEnd(node: RunningNode, signal: AbortSignal): Promise<void> {
  const { options, log, session, agent, docker, network, runtime, storage } = node;
  const ended = new AbortController();
  // What init is told when the power fails; `naru node shutdown` sends it.
  const powerFails = new Promise<"power fails">((resolve) => process.once("SIGPWR", () => resolve("power fails")));
  const running = session.run(ended.signal).catch((error) => {
    if (!ended.signal.aborted) throw error;
  });
  try {
    const cause = await Promise.race([running, aborted(signal), powerFails]);
    // Who restarts only the agent ends no pods; where nobody can tell, it is the machine that goes down.
    const shutdown =
      cause === "power fails"
        ? (options.shutdown ?? shutdownGroups(shutdownMsDefault, criticalShutdownMsDefault))
        : options.shutdown === undefined || (await readMachineState()) === "stays"
          ? undefined
          : options.shutdown;
    if (shutdown !== undefined) {
      log.info({ pods: agent.workers.length }, "the machine goes down, ending its pods");
      await agent.shutDown(shutdown);
    }
    await session.goodbye(
      shutdown !== undefined ? 0 : options.stopPods ? stopBackWithinMs : (options.backWithinMs ?? backWithinMsDefault),
    );
    if (options.stopPods) {
      log.info({ pods: agent.workers.length }, "ending all pods");
      const hurry = secondSignal();
      const ending = agent.stopPods(options.stopGraceMs ?? stopGraceMsDefault, hurry);
      // What is left of docker's containers goes with the runtime.
      await Promise.all([ending, Promise.race([docker?.stopAll(), aborted(hurry)])]);
      agent.close();
      log.info({}, "pods have ended");
      ended.abort(new Error("the agent ends"));
      await running;
      await network.tearDown();
      // After the pods' network: each puts back what it found.
      await docker?.tearDown();
      log.info({}, "networks of pods and containers removed");
      await runtime.tearDown();
      log.info({}, "sandboxes, cgroups and launcher removed");
      await storage.tearDown();
    }
  } finally {
    agent.close();
    ended.abort(new Error("the agent ends"));
  }
}

/** Aborted by the next signal to end. */
function secondSignal(): AbortSignal {
  const hurry = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => hurry.abort());
  return hurry.signal;
}

// Keeps no process alive.
function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
