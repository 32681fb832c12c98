// The simulated machines with their agents: started, crashed, restarted.
import { memoryTransport } from "../../api/sessions/memory-transport.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { type Random, seededRandom } from "../../lib/random.ts";
import type { AgentLink, SessionHost, SessionTransport } from "../../proto/transport.ts";
import { type Agent, type Machine, startAgent } from "./agent.ts";
import type { Network } from "./network.ts";
import { openProcess, type Process } from "./process.ts";

export interface Machines {
  readonly all: readonly Machine[];
  /** Its agent dials in. */
  start(name: string): void;
  crashMachine(name: string, downMs: number): void;
  crashAgent(name: string, downMs: number): void;
  restartAgent(name: string, downMs: number): Promise<void>;
  crashContainer(name: string): void;
}

export interface MachinesParts {
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly network: Network;
  readonly host: () => SessionHost | undefined;
  readonly note: (...what: readonly (string | number)[]) => void;
}

interface Running {
  readonly process: Process;
  readonly agent: Agent;
  readonly link: () => AgentLink | undefined;
}

export const machineSize = { cpu: "2", memory: "4Gi", pods: "10" } as const;

export function openMachines(parts: MachinesParts): Machines {
  const { clock, log, network, note } = parts;
  const machines = new Map(parts.names.map((name) => [name, machineOf(name)]));
  const randoms = new Map(parts.names.map((name) => [name, seededRandom(parts.random.uint32())]));
  const running = new Map<string, Running>();
  /** When each may be up again, for faults that overlap. */
  const downUntilMs = new Map<string, number>();

  const start = (name: string) => {
    const machine = machines.get(name);
    if (machine === undefined || running.has(name)) return;
    const process = openProcess(clock);
    const memory = memoryTransport(
      name,
      { fate: (direction) => network.fate(name, direction), host: parts.host },
      clock,
    );
    const { transport, link } = heardOnlyBy(process, memory);
    const random = randoms.get(name) ?? parts.random;
    const agent = startAgent({ machine, process, transport, random, log, note: (...what) => note(name, ...what) });
    running.set(name, { process, agent, link });
  };
  const kill = (name: string, downMs: number) => {
    running.get(name)?.process.kill();
    running.delete(name);
    const untilMs = Math.max(downUntilMs.get(name) ?? 0, clock.monotonicMs() + downMs);
    downUntilMs.set(name, untilMs);
    clock.after(untilMs - clock.monotonicMs(), () => {
      if (downUntilMs.get(name) === untilMs) start(name);
    });
  };

  return {
    all: [...machines.values()],
    start,
    crashMachine: (name, downMs) => {
      kill(name, downMs);
      machines.get(name)?.sandboxes.clear();
    },
    crashAgent: (name, downMs) => {
      // The kernel of a machine that lives closes the connections of a process that died.
      const link = running.get(name)?.link();
      kill(name, downMs);
      link?.close("connection reset");
    },
    restartAgent: async (name, downMs) => {
      const one = running.get(name);
      if (one === undefined) return;
      await Promise.race([one.agent.goodbye(downMs + 1000), sleep(clock, 1000)]);
      if (running.get(name) !== one) return;
      const link = one.link();
      kill(name, downMs);
      link?.close("the agent stops");
    },
    crashContainer: (name) => running.get(name)?.agent.crashContainer(),
  };
}

function machineOf(name: string): Machine {
  return {
    name,
    sandboxes: new Map(),
    addressesGiven: 0,
    node: {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels: { "kubernetes.io/hostname": name } },
      status: {
        capacity: machineSize,
        allocatable: machineSize,
        addresses: [{ type: "InternalIP", address: `192.168.0.${Number(name.split("-")[1])}` }],
        conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "simulated" }],
      },
    },
  };
}

function heardOnlyBy(process: Process, transport: SessionTransport) {
  let link: AgentLink | undefined;
  const gated: SessionTransport = {
    connect: (events) => {
      link = transport.connect({
        onMessage: (message) => process.alive && events.onMessage(message),
        onDrain: () => process.alive && events.onDrain(),
        onClose: (reason) => process.alive && events.onClose(reason),
      });
      return link;
    },
  };
  return { transport: gated, link: () => link };
}
