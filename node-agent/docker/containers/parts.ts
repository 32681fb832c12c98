// What the docker door's rooms share.
import type { Clock } from "../../../lib/clock.ts";
import type { Logger } from "../../../lib/log.ts";
import type { Random } from "../../../lib/random.ts";
import type { ImageLibrary } from "../../images/library.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { Events } from "../events.ts";
import type { Networks } from "../networks/networks.ts";
import type { Volumes } from "../volumes/volumes.ts";
import type { ContainerStore } from "./store.ts";

export interface DockerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly runtime: Runtime;
  readonly images: ImageLibrary;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly events: Events;
  readonly store: ContainerStore;
  /** The program that becomes process 1 with --init. */
  readonly initPath: string;
  /** The node's address, for host-gateway where a container has no network. */
  readonly nodeIp: string;
  readonly cgroupVersion: 1 | 2;
}
