// A machine of the simulated cluster and the agent on it: the real one, over a simulated runtime, network and images.

import type { Node, Pod } from "../../api/kinds/generated/types.ts";
import { cpuMilli } from "../../api/kinds/schema/quantity.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { fraction, type Random } from "../../lib/random.ts";
import { type Agent as NodeAgent, openAgent } from "../../node-agent/agent.ts";
import { PullError } from "../../node-agent/images/images.ts";
import { openSimulatedImages } from "../../node-agent/images/simulated.ts";
import { openSimulatedNetwork, SimulatedLinks } from "../../node-agent/network/simulated.ts";
import { readLabels } from "../../node-agent/pods/container-labels.ts";
import { openMemoryStorage } from "../../node-agent/pods/memory-storage.ts";
import type { SavedObject } from "../../node-agent/pods/storage.ts";
import { openSimulatedRuntime, SimulatedMachine, type SimulatedProgram } from "../../node-agent/runtime/simulated.ts";
import { openSession } from "../../node-agent/session.ts";
import type { Machine, Phase, StartAgent } from "./machine.ts";
import { heldBy } from "./process.ts";

export interface MachineParts {
  readonly name: string;
  readonly node: Node;
  /** The machine's own, which outlives agents. */
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly note: (...what: readonly string[]) => void;
  /** Share of the runtime's steps and of pulls that fail at present. */
  readonly failing: () => number;
}

/** "once 2000 0.1" ends after 2 s at most, one time of ten badly; everything else goes on for ever. */
function programOf([name, msMax, failing]: readonly string[], random: Random): SimulatedProgram {
  if (name !== "once") return {};
  return { runMs: fraction(random) * Number(msMax), exitCode: fraction(random) < Number(failing) ? 1 : 0 };
}

const startMsMax = 200;
const pullMsMax = 400;
const sigkill = 9;

export function openMachine(parts: MachineParts): { readonly machine: Machine; readonly start: StartAgent } {
  const { name, node, clock, random, log, note, failing } = parts;
  const fails = () => failing() > 0 && fraction(random) < failing();
  const hardware = new SimulatedMachine();
  const links = new SimulatedLinks();
  const checkpoints = new Map<string, Pod>();
  const objects = new Map<string, SavedObject>();
  const images = openSimulatedImages({
    clock,
    registry: () => {
      if (fails()) throw new PullError("RegistryUnavailable", "the simulated registry is down");
      return {};
    },
    pullMs: () => fraction(random) * pullMsMax,
  });
  const runtime = openSimulatedRuntime(hardware, {
    clock,
    program: (args) => programOf(args, random),
    startMs: () => fraction(random) * startMsMax,
    fail: (step, id) => {
      const isBad = fails();
      note(step, id, isBad ? "fails" : "");
      if (isBad) throw new Error(`the simulated kernel refused to ${step}`);
    },
  });

  const machine: Machine = {
    name,
    node,
    pods: () => {
      const phases = new Map<string, Phase>([...hardware.sandboxes.keys()].map((uid) => [uid, "stopping"]));
      for (const { spec, state } of hardware.processes.values()) {
        const uid = readLabels(spec)?.podUid;
        if (uid === undefined || phases.get(uid) === "running") continue;
        phases.set(uid, state.status === "running" ? "running" : state.status === "created" ? "starting" : "crashed");
      }
      return phases;
    },
    powerOff: () => {
      hardware.powerOff();
      links.powerOff();
      objects.clear();
    },
    crashContainer: () => {
      const running = [...hardware.processes].find(([, { state }]) => state.status === "running");
      if (running !== undefined) void runtime.signal(running[0], sigkill);
    },
  };

  const start: StartAgent = ({ process, transport }) => {
    let agent: NodeAgent | undefined;
    const session = openSession(
      {
        node: () => node,
        agentVersion: "simulated",
        runningPodUids: () => agent?.runningPodUids() ?? [],
        onStream: async () => ({ exitCode: 1, error: "simulated" }),
      },
      { transport, clock: process.clock, random, log },
    );
    const { cache, reports } = session;
    void openAgent({
      clock: process.clock,
      log,
      runtime: heldBy(process, runtime),
      images: heldBy(process, images),
      network: heldBy(process, openSimulatedNetwork(links)),
      storage: heldBy(process, openMemoryStorage(checkpoints, objects)),
      transport: { http: async () => ({ status: 200, body: "" }), tcp: async () => {}, grpc: async () => 1 },
      cache,
      reports,
      node: {
        nodeName: name,
        nodeIp: node.status?.addresses?.[0]?.address ?? "",
        allocatableCpuMilli: cpuMilli(node.status?.allocatable?.["cpu"] ?? "0"),
        podsMax: Number(node.status?.allocatable?.["pods"]),
        allocatableMemoryBytes: 4 * 2 ** 30,
        allocatableEphemeralStorageBytes: 100 * 2 ** 30,
        memoryCapacityBytes: 4 * 2 ** 30,
        clusterDomain: "cluster.local",
      },
    }).then((opened) => {
      agent = opened;
    });
    void session.run(new AbortController().signal);
    return { goodbye: session.goodbye };
  };
  return { machine, start };
}
