// What a container's record becomes when something happened to it: a start failed, a probe answered, its process ended. Pure.
import type { Container } from "../../api/kinds/generated/types.ts";
import { unreachable } from "../../lib/assert.ts";
import { type ContainerState, LaunchError } from "../runtime/runtime.ts";
import type { ContainerPhase, ContainerRecord, Termination } from "./pod-state.ts";
import type { ProbeKind } from "./prober.ts";
import { nextBackoff } from "./restart-backoff.ts";
import { messageOf, StartProblem } from "./start-problem.ts";

const configRetryMs = 10_000;
const brokenRetryMs = 1000;

type Running = Extract<ContainerPhase, { phase: "Running" }>;

/** A stopped container as Kubernetes words it. */
export function terminationOf(
  id: string,
  stopped: Extract<ContainerState, { status: "stopped" }>,
  message: string,
): Termination {
  return {
    id,
    exitCode: stopped.exitCode,
    reason: stopped.oomKilled ? "OOMKilled" : stopped.exitCode === 0 ? "Completed" : "Error",
    message,
    startedAtMs: stopped.startedAtMs,
    finishedAtMs: stopped.finishedAtMs,
  };
}

/** A process that could not be made counts as a run that crashed; what was missing before it is waited for. */
export function afterFailedStart(
  record: ContainerRecord,
  failure: { readonly error: unknown; readonly id: string; readonly startedAtMs: number },
  nowMs: number,
): ContainerRecord {
  const { error, id, startedAtMs } = failure;
  const message = messageOf(error);
  if (error instanceof LaunchError) {
    const exit = { id, exitCode: error.exitCode, reason: "StartError", message, startedAtMs, finishedAtMs: nowMs };
    return { ...record, now: { phase: "Exited", exit, backoffNoted: false } };
  }
  const reason = error instanceof StartProblem ? error.reason : "CreateContainerError";
  const waiting = (retryMs: number): ContainerPhase => ({
    phase: "Waiting",
    reason,
    message,
    retryAtMs: nowMs + retryMs,
  });
  if (reason === "ErrImagePull" || reason === "InvalidImageName") {
    const pull = nextBackoff(record.pull, nowMs);
    return { ...record, pull, now: waiting(pull.delayMs) };
  }
  return { ...record, now: waiting(reason === "CreateContainerError" ? brokenRetryMs : configRetryMs) };
}

/** The same object when the answer changes nothing. */
export function afterProbe(now: Running, container: Container, kind: ProbeKind, ok: boolean): Running {
  switch (kind) {
    case "readiness":
      return now.ready === ok ? now : { ...now, ready: ok };
    case "startup":
      if (ok) return { ...now, started: true, ready: container.readinessProbe === undefined };
      break;
    case "liveness":
      if (ok) return now;
      break;
    default:
      return unreachable(kind);
  }
  const probe = kind === "startup" ? container.startupProbe : container.livenessProbe;
  const seconds = probe?.terminationGracePeriodSeconds;
  return {
    ...now,
    unhealthy: {
      message: `Container ${container.name} failed ${kind} probe, will be restarted`,
      graceMs: seconds === undefined ? undefined : seconds * 1000,
    },
  };
}

/** Of a pod whose containers all begin anew: its next run comes in the order of the first, not before `atMs`. */
export function beginAnew(
  record: ContainerRecord,
  { isTrigger, atMs }: { readonly isTrigger: boolean; readonly atMs: number },
): Partial<ContainerRecord> {
  const { now, attempt, last, backoff } = record;
  const ran = now.phase === "Exited" ? now.exit : undefined;
  return {
    now: { phase: "Waiting", reason: "", message: "", retryAtMs: atMs },
    again: "rules",
    attempt: ran === undefined ? attempt : attempt + 1,
    last: ran ?? last,
    backoff: isTrigger && ran !== undefined ? nextBackoff(backoff, ran.finishedAtMs) : backoff,
  };
}
