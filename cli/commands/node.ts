// naru node: what is done with the node that this machine is.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { realClock, sleep } from "../../lib/clock.ts";
import { agentIn, isLocked } from "../../node-agent/directory-lock.ts";
import { type Command, UsageError } from "../command.ts";
import { startProgress } from "../progress.ts";

const lookMs = 100;

export const node: Command = {
  name: "node",
  summary: "End this node's pods in order",
  usage: "node shutdown [--data FOLDER]",
  examples: ["naru node shutdown && poweroff"],
  options: {
    data: { type: "string", value: "FOLDER", default: "/var/lib/naru-agent", help: "the agent's --data folder" },
  },
  arguments: [{ type: "words", words: ["shutdown"] }],
  run: async (invocation) => {
    const [action, ...more] = invocation.positionals;
    if (action !== "shutdown" || more.length > 0)
      throw new UsageError(`node takes shutdown, got ${JSON.stringify(invocation.positionals.join(" "))}`);
    const folder = invocation.text("data") ?? "";
    const pid = existsSync(join(folder, "agent.lock")) ? agentIn(folder) : undefined;
    if (pid === undefined)
      throw new Error(`no agent works in ${folder}: name the folder that it was given with --data FOLDER`);
    // As init is told when the power fails: the agent ends its pods, by priority, and then itself.
    process.kill(pid, "SIGPWR");
    const progress = startProgress();
    progress.update("pods are ending");
    try {
      while (isLocked(folder)) await sleep(realClock, lookMs, invocation.signal);
    } catch (error) {
      progress.clear();
      throw error;
    }
    progress.done("pods have ended, and so has the agent");
    return 0;
  },
};
