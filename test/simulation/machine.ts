// A machine of the simulated cluster, whatever agent runs on it: what it runs outlives the agent, not the power.
import type { Node } from "../../api/kinds/generated/types.ts";
import type { SessionTransport } from "../../proto/transport.ts";
import type { Process } from "./process.ts";

export type Phase = "starting" | "running" | "crashed" | "stopping";

export interface Machine {
  readonly name: string;
  readonly node: Node;
  /** What is left of pods here, by uid; also of those that nobody wants any more. */
  pods(): ReadonlyMap<string, Phase>;
  powerOff(): void;
  /** One running container ends with an error. */
  crashContainer(): void;
}

/** Starts an agent on its machine, which takes over what a former one left. */
export type StartAgent = (parts: { readonly process: Process; readonly transport: SessionTransport }) => {
  /** Announces a planned stop. */
  goodbye(backWithinMs: number): Promise<void>;
};
