// What a filter and a score are. A plugin is one file in plugins/ and one line in profile.ts.
import type { PodRequirements } from "./requirements.ts";
import type { Snapshot } from "./snapshot.ts";

/** Why one node cannot take a pod, in words that many nodes can share. */
export interface Refusal {
  /** Nodes with the same group are told together. */
  readonly group: string;
  /** The sentence for `nodes` nodes, without the number: "are tainted a=b:NoSchedule", "need 500m CPU, have 200m free". */
  readonly say: (nodes: number, mostFree: number) => string;
  /** How much is free, where the sentence tells it. */
  readonly free?: number;
}

export interface Filter {
  readonly name: string;
  /** "description": looks only at the node's own labels and taints, so that equal pods share the result; "use": what is free. */
  readonly looksAt: "description" | "use";
  /** The check for this pod, or undefined when it asks nothing of this plugin. Slots are non-empty. */
  readonly prepare: (pod: PodRequirements, snapshot: Snapshot) => Check | undefined;
}

export interface Check {
  readonly fits: (slot: number) => boolean;
  /** Called only when no node fits. */
  readonly refuse: (slot: number) => Refusal;
}

export interface Score {
  readonly name: string;
  readonly weight: number;
  /** 0 (worst) to 100 for a slot; undefined when it makes no difference for this pod. */
  readonly prepare: (pod: PodRequirements, snapshot: Snapshot) => ((slot: number) => number) | undefined;
}

export interface Profile {
  readonly filters: readonly Filter[];
  readonly scores: readonly Score[];
}
