// One node of the simulator, or of a test: an agent over simulated parts, whose machine outlives it.
import type { Pod } from "../api/kinds/generated/types.ts";
import type { Clock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { type Agent, type AgentParts, openAgent } from "./agent.ts";
import type { ImageStore } from "./images/images.ts";
import { openSimulatedImages, type SimulatedImagesOptions } from "./images/simulated.ts";
import { openSimulatedNetwork, SimulatedLinks } from "./network/simulated.ts";
import { openMemoryStorage } from "./pods/memory-storage.ts";
import type { HttpTarget, ProbeTransport } from "./pods/probe-transport.ts";
import type { SavedObject } from "./pods/storage.ts";
import { openSimulatedRuntime, SimulatedMachine, type SimulatedRuntimeOptions } from "./runtime/simulated.ts";
import type { NodeCache, Reports } from "./session-types.ts";

export interface SimulatedNodeOptions {
  readonly clock: Clock;
  readonly name: string;
  readonly nodeIp: string;
  readonly program?: SimulatedRuntimeOptions["program"];
  readonly startMs?: () => number;
  readonly failRuntime?: SimulatedRuntimeOptions["fail"];
  readonly registry?: SimulatedImagesOptions["registry"];
  readonly pullMs?: SimulatedImagesOptions["pullMs"];
  /** Status code of an HTTP probe's answer; undefined: nothing answers. Default 200. */
  readonly http?: (target: HttpTarget) => number | undefined;
  readonly cpuMilli?: number;
  readonly memoryBytes?: number;
}

/** The hardware and what stands on its disk. */
export class SimulatedNode {
  readonly options: SimulatedNodeOptions;
  readonly machine = new SimulatedMachine();
  readonly links = new SimulatedLinks();
  readonly checkpoints = new Map<string, Pod>();
  readonly objects = new Map<string, SavedObject>();
  /** As the files of their volumes were told to follow them. */
  readonly refreshed: Pod[] = [];
  readonly images: ImageStore;

  constructor(options: SimulatedNodeOptions) {
    this.options = options;
    this.images = openSimulatedImages({
      clock: options.clock,
      registry: options.registry ?? (() => ({})),
      ...(options.pullMs === undefined ? {} : { pullMs: options.pullMs }),
    });
  }

  /** Starts an agent, the first one or one after a crash; it adopts what the machine runs. */
  startAgent(
    session: { readonly cache: NodeCache; readonly reports: Reports },
    more: Pick<AgentParts, "refusal"> = {},
  ): Promise<Agent> {
    const { clock, name, nodeIp, cpuMilli = 4000, memoryBytes = 8 * 2 ** 30, startMs, failRuntime } = this.options;
    return openAgent({
      ...more,
      clock,
      log: silentLogger,
      runtime: openSimulatedRuntime(this.machine, {
        clock,
        program: this.options.program ?? (() => ({})),
        ...(startMs === undefined ? {} : { startMs }),
        ...(failRuntime === undefined ? {} : { fail: failRuntime }),
      }),
      images: this.images,
      network: openSimulatedNetwork(this.links),
      storage: openMemoryStorage(this.checkpoints, this.objects, (pod) => void this.refreshed.push(pod)),
      transport: this.#transport(),
      cache: session.cache,
      reports: session.reports,
      node: {
        nodeName: name,
        nodeIp,
        allocatableCpuMilli: cpuMilli,
        allocatableMemoryBytes: memoryBytes,
        allocatableEphemeralStorageBytes: 100 * 2 ** 30,
        memoryCapacityBytes: memoryBytes,
        clusterDomain: "cluster.local",
      },
    });
  }

  /** Everything that ran is gone; what is on disk stays. */
  powerOff(): void {
    this.machine.powerOff();
    this.links.powerOff();
    this.objects.clear();
  }

  #transport(): ProbeTransport {
    const answer = this.options.http ?? (() => 200);
    return {
      http: async (target) => {
        const status = answer(target);
        if (status === undefined) throw new Error(`connect ECONNREFUSED ${target.host}:${target.port}`);
        return { status, body: "" };
      },
      tcp: async () => {},
      grpc: async () => 1,
    };
  }
}
