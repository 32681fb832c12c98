// The simulated machines with their agents: started, crashed, restarted.
import type { Node } from "../../api/kinds/generated/types.ts";
import { memoryTransport } from "../../api/sessions/memory-transport.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { type Random, seededRandom } from "../../lib/random.ts";
import type { AgentLink, SessionHost, SessionTransport } from "../../proto/transport.ts";
import { openMachine } from "./agent.ts";
import type { Machine, StartAgent } from "./machine.ts";
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
  /** That share of its runtime's steps and of its pulls fails for a while. */
  spoil(name: string, failing: number, forMs: number): void;
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
  readonly agent: ReturnType<StartAgent>;
  readonly link: () => AgentLink | undefined;
}

/** Machines differ, and the small ones fill up first. */
const cpusOfMachines = [1, 2, 4];

export function cpusOf(name: string): number {
  return cpusOfMachines[Number(name.split("-")[1]) % cpusOfMachines.length] ?? 1;
}

export function openMachines(parts: MachinesParts): Machines {
  const { clock, log, network, note } = parts;
  /** Faults of machines that are on, by name. */
  const bad = new Map<string, number>();
  const machines = new Map(
    parts.names.map((name) => {
      const random = seededRandom(parts.random.uint32());
      const failing = () => bad.get(name) ?? 0;
      const tell = (...what: readonly string[]) => note(name, ...what);
      return [name, openMachine({ name, node: nodeOf(name), random, log, clock, note: tell, failing })];
    }),
  );
  const running = new Map<string, Running>();
  /** When each may be up again, for faults that overlap. */
  const downUntilMs = new Map<string, number>();

  const start = (name: string) => {
    const one = machines.get(name);
    if (one === undefined || running.has(name)) return;
    const process = openProcess(clock);
    const memory = memoryTransport(
      name,
      { fate: (direction) => network.fate(name, direction), host: parts.host },
      clock,
    );
    const { transport, link } = heardOnlyBy(process, memory);
    const agent = one.start({ process, transport });
    note(name, "agent starts");
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
    all: [...machines.values()].map(({ machine }) => machine),
    start,
    crashMachine: (name, downMs) => {
      kill(name, downMs);
      machines.get(name)?.machine.powerOff();
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
    spoil: (name, failing, forMs) => {
      bad.set(name, failing);
      clock.after(forMs, () => bad.delete(name));
    },
    crashContainer: (name) => machines.get(name)?.machine.crashContainer(),
  };
}

function nodeOf(name: string): Node {
  const size = { cpu: `${cpusOf(name)}`, memory: "4Gi", pods: "10" };
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "kubernetes.io/hostname": name } },
    status: {
      capacity: size,
      allocatable: size,
      addresses: [{ type: "InternalIP", address: `192.168.0.${Number(name.split("-")[1])}` }],
      conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "simulated" }],
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
