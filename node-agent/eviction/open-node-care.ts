// How a node looks after itself, as its owner asked for: what pods may use together, when the node is under pressure, when images go.
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Agent } from "../agent.ts";
import type { AgentOptions } from "../agent-options.ts";
import type { ImageStore } from "../images/images.ts";
import { type NodeLoad, type NodeMachine, readDiskOf, readLoad } from "../node-status.ts";
import { messageOf } from "../pods/start-problem.ts";
import type { PodStorage } from "../pods/storage.ts";
import type { LinuxRuntime } from "../runtime/linux.ts";
import { imageCollectionDefault } from "./plan-image-collection.ts";
import { type NodePressure, openPressure } from "./pressure.ts";
import {
  type NodeReserve,
  nodeLimits,
  observationsOf,
  parseReserved,
  reservedDefault,
  reservedOfOffer,
} from "./reserve.ts";
import { hardDefault, parseThresholds, withMinimumReclaim } from "./thresholds.ts";

const transitionMsDefault = 300_000;

export interface NodeCare {
  readonly pressure: NodePressure;
  readonly reserved: NodeReserve;
  /** As it was last measured. */
  readonly load: () => NodeLoad;
}

export async function openNodeCare(parts: {
  readonly clock: Clock;
  readonly log: Logger;
  readonly options: Pick<AgentOptions, "reserved" | "memory" | "eviction" | "imageCollection">;
  readonly machine: NodeMachine;
  readonly dataDir: string;
  readonly runtime: LinuxRuntime;
  readonly images: Pick<ImageStore, "collect">;
  readonly storage: PodStorage;
  readonly agent: () => Agent | undefined;
  readonly onChange: () => void;
}): Promise<NodeCare> {
  const { clock, log, options, machine, dataDir, runtime, images, storage, agent, onChange } = parts;
  const { hard = hardDefault, soft = "", softGrace = "", minimumReclaim = "" } = options.eviction ?? {};
  const { transitionMs = transitionMsDefault, podGraceMsMax = 0 } = options.eviction ?? {};
  const thresholds = withMinimumReclaim(
    [...parseThresholds(hard), ...parseThresholds(soft, softGrace)],
    minimumReclaim,
  );
  const reserveText = options.reserved ?? (options.memory === undefined ? reservedDefault : reservedOfOffer);
  const reserved: NodeReserve = { ...parseReserved(reserveText), thresholds };
  let load = await readLoad(dataDir);
  const limits = nodeLimits(machine, load, reserved);
  let limited = true;
  try {
    runtime.limitAll(limits);
  } catch (error) {
    limited = false;
    log.warn({ error: messageOf(error) }, "pods together are not limited: their cgroup takes no limits");
  }
  const pressure = await openPressure({
    ...{ clock, log, thresholds, transitionMs, podGraceMsMax, runtime, storage, images, onChange },
    imageCollection: { ...imageCollectionDefault, ...options.imageCollection },
    observe: async () => {
      load = await readLoad(dataDir);
      const pods = limited ? runtime.statsOfAll() : undefined;
      return observationsOf(
        load,
        pods === undefined
          ? undefined
          : { workingSetBytes: pods.memoryWorkingSetBytes, bytesMax: limits.memoryBytesMax ?? machine.memoryBytes },
        await readDiskOf(join(dataDir, "images"), dataDir),
      );
    },
    workers: () => agent()?.workers ?? [],
    events: () => agent()?.events,
  });
  return { pressure, reserved, load: () => load };
}
