// What the agent knows of one pod and its containers: the states that next-step.ts moves between.

import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import type { UnixUser } from "./security.ts";

export type PodState =
  /** Nothing made yet, or not looked at since the agent started. */
  | { readonly phase: "Accepted" }
  /** Sandbox, network and volumes are being made. */
  | { readonly phase: "SettingUp" }
  | {
      readonly phase: "SetUpFailed";
      readonly message: string;
      readonly failures: number;
      readonly retryAtMs: number;
    }
  /** Sandbox, network and volumes are there: containers may run. */
  | { readonly phase: "Up" }
  /** All containers ended for good. Logs and exit codes are kept until the pod is deleted. */
  | {
      readonly phase: "Finished";
      readonly outcome: "Succeeded" | "Failed";
      readonly reason: string;
      readonly message: string;
      /** Sandbox, network and volumes: still there, being removed, removed. */
      readonly leftovers: "here" | "going" | "gone";
    }
  | { readonly phase: "TearingDown" }
  | { readonly phase: "TearDownFailed"; readonly failures: number; readonly retryAtMs: number }
  /** Nothing is left on this node. */
  | { readonly phase: "Gone" };

/** How a run of a container ended. */
export interface Termination {
  readonly id: string;
  readonly exitCode: number;
  readonly signal?: number;
  /** "Completed", "Error", "OOMKilled", "StartError", "ContainerCannotRun" */
  readonly reason: string;
  readonly message: string;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}

export type ContainerPhase =
  /** Not running; the next try is not made before `retryAtMs`. */
  | {
      readonly phase: "Waiting";
      readonly reason: string;
      readonly message: string;
      readonly retryAtMs: number;
    }
  /** Its image is being found or pulled, its process made. */
  | { readonly phase: "Starting" }
  | {
      readonly phase: "Running";
      readonly id: string;
      readonly startedAtMs: number;
      /** The image name it was started from, to notice a change of the spec. */
      readonly image: string;
      /** Startup probe passed, or none. */
      readonly started: boolean;
      readonly ready: boolean;
      /** Why a probe or hook wants it ended; undefined while all is well. */
      readonly unhealthy: { readonly message: string; readonly graceMs: number | undefined } | undefined;
    }
  /** Asked to end; still runs. */
  | {
      readonly phase: "Stopping";
      readonly id: string;
      readonly startedAtMs: number;
      readonly sinceMs: number;
      readonly deadlineMs: number;
      /** A sidecar whose preStop hook runs beside the others', and whose signal waits for its turn. */
      readonly held?: true | undefined;
    }
  | {
      readonly phase: "Exited";
      readonly exit: Termination;
      /** The back-off before its restart was made known. */
      readonly backoffNoted: boolean;
    };

/** "ephemeral": added to the running pod by `kubectl debug`; runs once and counts for nothing. */
export type ContainerRole = "init" | "sidecar" | "main" | "ephemeral";

export interface ContainerRecord {
  readonly name: string;
  readonly role: ContainerRole;
  /** Number of the current or last run, from 0: its restart count. */
  readonly attempt: number;
  readonly now: ContainerPhase;
  /** The run before. */
  readonly last: Termination | undefined;
  /**
   * All containers of the pod begin anew, init containers first: its earlier runs count for nothing there. A container's rules ask for it,
   * or the node lost them all.
   */
  readonly again?: "rules" | "lost" | undefined;
  /** Of the run's labels; "" before the first. */
  readonly imageId: string;
  readonly imagePin: string;
  readonly user: UnixUser | undefined;
  /** Doubles with each crash; see restart-backoff.ts. */
  readonly backoff: Backoff | undefined;
  readonly pull: Backoff | undefined;
}

export interface Backoff {
  readonly delayMs: number;
  readonly updatedAtMs: number;
}

/** What should become of a pod. */
export type Intent =
  | { readonly do: "run" }
  | {
      readonly do: "stop";
      readonly graceMs: number;
      /** "results": logs and exit codes stay, the pod becomes Failed. */
      readonly leave: "nothing" | "results";
      readonly reason: string;
      readonly message: string;
    };

export interface Wanted {
  readonly pod: Pod;
  readonly intent: Intent;
  /** Since when the intent is to stop: the grace period counts from there. */
  readonly stopSinceMs?: number;
}

/** The containers of a pod in the order of their start. */
export function containersOf(pod: Pod): readonly { readonly container: Container; readonly role: ContainerRole }[] {
  return [
    ...(pod.spec?.initContainers ?? []).map((container) => ({
      container,
      role: container.restartPolicy === "Always" ? ("sidecar" as const) : ("init" as const),
    })),
    ...(pod.spec?.containers ?? []).map((container) => ({ container, role: "main" as const })),
    ...(pod.spec?.ephemeralContainers ?? []).map((container) => ({ container, role: "ephemeral" as const })),
  ];
}

/** A container that never ran here. */
export function newContainer(name: string, role: ContainerRole, attempt = 0): ContainerRecord {
  return {
    name,
    role,
    attempt,
    now: { phase: "Waiting", reason: "", message: "", retryAtMs: 0 },
    last: undefined,
    imageId: "",
    imagePin: "",
    user: undefined,
    backoff: undefined,
    pull: undefined,
  };
}

/** A process of it may exist, or come to exist without a further decision. */
export function isAlive(container: ContainerRecord): boolean {
  return container.now.phase === "Starting" || container.now.phase === "Running" || container.now.phase === "Stopping";
}
