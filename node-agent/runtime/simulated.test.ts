// The simulated runtime does what every runtime must.
import { text } from "node:stream/consumers";
import { realClock } from "../../lib/clock.ts";
import { type Behaviour, runtimeContract } from "./contract.ts";
import type { ContainerSpec } from "./runtime.ts";
import { openSimulatedRuntime, SimulatedMachine, type SimulatedProgram } from "./simulated.ts";

runtimeContract("simulated runtime", async () => {
  const machine = new SimulatedMachine();
  const open = () => openSimulatedRuntime(machine, { clock: realClock, program });
  return {
    runtime: open(),
    spec,
    reopen: async () => open(),
    [Symbol.asyncDispose]: async () => machine.powerOff(),
  };
});

function program([name, word = ""]: readonly string[]): SimulatedProgram | undefined {
  switch (name) {
    case "exit":
      return { runMs: 1, exitCode: Number(word) };
    case "sleep":
      return { onSignal: { exitCode: 7 } };
    case "stubborn":
      return { onSignal: "ignore" };
    case "print":
      return {
        work: async ({ stdout, stderr }) => {
          stdout.write(`${word}\n`);
          stderr.write(`${word} on stderr\n`);
          return 0;
        },
      };
    case "cat":
      return {
        work: async ({ stdin, stdout, stderr }) => {
          const all = await text(stdin);
          stdout.write(all);
          stderr.write(`end after ${all.length}\n`);
          return 0;
        },
      };
    default:
      return undefined;
  }
}

function spec(id: string, behaviour: Behaviour, more: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id,
    labels: { test: id },
    args: behaviour,
    env: [],
    cwd: "/",
    user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false,
    stdin: false,
    rootfs: { destination: "/", type: "bind", source: "/", options: [] },
    readonlyRootfs: false,
    mounts: [],
    namespaces: [],
    cgroupPath: id,
    resources: {},
    capabilities: [],
    noNewPrivileges: false,
    privileged: false,
    seccomp: "default",
    maskedPaths: [],
    readonlyPaths: [],
    sysctls: {},
    rlimits: [],
    ...more,
  };
}
