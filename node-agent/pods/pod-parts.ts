// What a pod's worker needs of its node; the same on Linux and in the simulator.
import type { Pod, PodStatus, Service } from "../../api/kinds/generated/types.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Images } from "../images/images.ts";
import type { Network } from "../network/network.ts";
import type { AppArmor } from "../runtime/apparmor.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { ConfigLookup } from "./container-env.ts";
import type { EventRecorder } from "./events.ts";
import type { NodeFacts } from "./field-values.ts";
import type { ProbeTransport } from "./probe-transport.ts";
import type { ServiceTokens } from "./service-tokens.ts";
import type { PodStorage } from "./storage.ts";

export interface PodParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly runtime: Runtime;
  readonly images: Images;
  readonly network: Network;
  readonly storage: PodStorage;
  readonly transport: ProbeTransport;
  readonly events: EventRecorder;
  readonly lookup: ConfigLookup;
  /** All that are here, with what they have been given. */
  readonly podsHere: () => readonly Pod[];
  readonly tokens: ServiceTokens;
  readonly services: () => readonly Service[];
  readonly node: NodeFacts & {
    readonly memoryCapacityBytes: number;
    readonly clusterDomain: string;
    /** Absent: any number. */
    readonly podsMax?: number;
    /** Besides the safe ones: names, or beginnings such as "net.core.*". */
    readonly allowedUnsafeSysctls?: readonly string[];
    /** Absent: the kernel has none. */
    readonly appArmor?: AppArmor;
  };
  readonly onStatus: (pod: Pod, status: PodStatus) => void;
  /** Nothing of it is left here. */
  readonly onGone: (pod: Pod) => void;
}
