// The containers' part of next-step.ts: which of them to start, restart or stop now. Pure.

import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { unreachable } from "../../lib/assert.ts";
import { type ContainerRecord, type ContainerRole, containersOf, isAlive, type Termination } from "./pod-state.ts";
import { restartAtMs } from "./restart-backoff.ts";

export type ContainerStep =
  | { readonly do: "start"; readonly name: string; readonly attempt: number }
  | {
      readonly do: "stop";
      readonly name: string;
      readonly graceMs: number;
      readonly message: string;
      /** Its hook now, its signal with `release`. */
      readonly held?: true;
    }
  | { readonly do: "release"; readonly name: string; readonly deadlineMs: number }
  /** It is stopping already, with a longer grace period. */
  | { readonly do: "hurry"; readonly name: string; readonly deadlineMs: number }
  /** Gives up a pull or a start that is under way. */
  | { readonly do: "cancel"; readonly name: string }
  /** All have ended, because one ended in a way that its rules say so: they begin anew, not before `atMs`. */
  | { readonly do: "restartAll"; readonly trigger: string; readonly atMs: number }
  /** Says that it waits before its restart. */
  | { readonly do: "noteBackoff"; readonly name: string; readonly untilMs: number };

export interface RunPlan {
  readonly steps: readonly ContainerStep[];
  /** When to ask again if nothing changes. */
  readonly untilMs: number | undefined;
  /** Set when no container runs or will run again. */
  readonly outcome: "Succeeded" | "Failed" | undefined;
}

const nothing: RunPlan = { steps: [], untilMs: undefined, outcome: undefined };

/** What a sidecar is given at least when the pod's grace period is over before its turn. */
const sidecarGraceMsMin = 2000;

/**
 * Init containers one after the other, then the rest side by side; sidecars go on until the main containers have ended. Ephemeral
 * containers start whenever they are asked for.
 */
export function planRun(pod: Pod, observed: readonly ContainerRecord[], nowMs: number): RunPlan {
  const all = withSpecs(pod, observed);
  const restart = planRestartOfAll(all, nowMs);
  if (restart !== undefined) return restart;
  const mains = all.filter(({ record }) => record.role === "main");
  const sidecars = all.filter(({ record }) => record.role === "sidecar");
  const init = initialised(observed) ? { plans: sidecars.map(planOne), state: "done" as const } : planInit();
  const visitors = all.filter(({ record }) => record.role === "ephemeral").map(planOne);
  if (init.state === "failed") return finish("Failed");
  if (init.state === "busy") return merge([...init.plans, ...visitors]);
  if (mains.every(({ record }) => isFinal(record, pod))) {
    return finish(mains.every(({ record }) => exitOf(record)?.exitCode === 0) ? "Succeeded" : "Failed");
  }
  return merge([...init.plans, ...mains.map(planOne), ...visitors]);

  function planOne(each: { readonly record: ContainerRecord; readonly container: Container }): RunPlan {
    return planContainer(each.record, each.container, pod, nowMs);
  }

  function planInit(): { readonly plans: readonly RunPlan[]; readonly state: "done" | "busy" | "failed" } {
    const plans: RunPlan[] = [];
    for (const each of all) {
      if (each.record.role === "main" || each.record.role === "ephemeral") break;
      if (each.record.role === "init" && exitOf(each.record)?.exitCode === 0) continue;
      if (each.record.role === "init" && isFinal(each.record, pod)) return { plans, state: "failed" };
      plans.push(planOne(each));
      const started = each.record.now.phase === "Running" && each.record.now.started;
      if (each.record.role === "init" || !started) return { plans, state: "busy" };
    }
    return { plans, state: "done" };
  }

  function finish(outcome: "Succeeded" | "Failed"): RunPlan {
    if (!observed.some(isAlive)) return { ...nothing, outcome };
    const deadlineMs = nowMs + defaultGraceMs(pod);
    return { ...nothing, steps: planStop(pod, observed, { deadlineMs, nowMs }) };
  }
}

/**
 * All but sidecars at the same time; then the sidecars, the last that was started first. The hooks of all begin together.
 * Source: Kubernetes documentation, "Pod Lifecycle", termination with sidecars.
 */
export function planStop(
  pod: Pod,
  observed: readonly ContainerRecord[],
  { deadlineMs, nowMs }: { readonly deadlineMs: number; readonly nowMs: number },
): readonly ContainerStep[] {
  const alive = observed.filter(isAlive);
  const first = alive.filter(({ role }) => role !== "sidecar");
  const hooked = new Set(containersOf(pod).flatMap(({ container }) => (hasPreStop(container) ? [container.name] : [])));
  const hold = (records: readonly ContainerRecord[]) =>
    records
      .filter(({ role, name, now }) => role === "sidecar" && hooked.has(name) && now.phase !== "Starting")
      .flatMap((record) => stopOne(record, deadlineMs, nowMs))
      .map((step) => (step.do === "stop" ? { ...step, held: true as const } : step));
  if (first.length > 0) return [...first.flatMap((record) => stopOne(record, deadlineMs, nowMs)), ...hold(alive)];
  const sidecar = alive.at(-1);
  if (sidecar === undefined) return [];
  const lastMs = Math.max(deadlineMs, nowMs + sidecarGraceMsMin);
  const isHeld = sidecar.now.phase === "Stopping" && sidecar.now.held === true;
  const release: ContainerStep = { do: "release", name: sidecar.name, deadlineMs: lastMs };
  return [...(isHeld ? [release] : stopOne(sidecar, lastMs, nowMs)), ...hold(alive.slice(0, -1))];
}

function hasPreStop({ lifecycle }: Container): boolean {
  return lifecycle?.preStop !== undefined;
}

/** A main container has been started at some time: the init containers are behind. */
export function initialised(observed: readonly ContainerRecord[]): boolean {
  return observed.some(
    ({ role, now, attempt, last, again }) =>
      role === "main" &&
      again === undefined &&
      (now.phase !== "Waiting" || attempt > 0 || last !== undefined || now.reason !== ""),
  );
}

/** It has ended and its restart policy leaves it so. */
export function isFinal(record: ContainerRecord, pod: Pod): boolean {
  if (record.now.phase !== "Exited") return false;
  const container = containersOf(pod).find(({ container: { name } }) => name === record.name)?.container;
  return !shouldRestart(record.role, container, pod.spec?.restartPolicy, record.now.exit);
}

/** The grace period of the pod's own spec, ms. */
export function defaultGraceMs(pod: Pod): number {
  return (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
}

/** A container ended with a code that its rules answer with a restart of all: whatever still runs is ended, without grace. */
export function restartsAll(container: Container, record: ContainerRecord): boolean {
  const exit = exitOf(record);
  return (
    exit !== undefined &&
    record.role !== "ephemeral" &&
    matchingRule(container, exit)?.action === "RestartAllContainers"
  );
}

function planRestartOfAll(
  all: readonly { readonly record: ContainerRecord; readonly container: Container }[],
  nowMs: number,
): RunPlan | undefined {
  const trigger = all.find(({ record, container }) => restartsAll(container, record))?.record;
  const exit = trigger === undefined ? undefined : exitOf(trigger);
  if (trigger === undefined || exit === undefined) return undefined;
  const alive = all.filter(({ record }) => record.role !== "ephemeral" && isAlive(record));
  if (alive.length > 0) return { ...nothing, steps: alive.flatMap(({ record }) => stopOne(record, nowMs, nowMs)) };
  const atMs = restartAtMs(trigger.backoff, exit.finishedAtMs);
  return { ...nothing, steps: [{ do: "restartAll", trigger: trigger.name, atMs }] };
}

function planContainer(record: ContainerRecord, container: Container, pod: Pod, nowMs: number): RunPlan {
  const { name, now, attempt } = record;
  switch (now.phase) {
    case "Waiting":
      if (nowMs >= now.retryAtMs) return { ...nothing, steps: [{ do: "start", name, attempt }] };
      return { ...nothing, untilMs: now.retryAtMs };
    case "Starting":
    case "Stopping":
      return nothing;
    case "Running":
      if (now.unhealthy !== undefined) {
        const graceMs = now.unhealthy.graceMs ?? defaultGraceMs(pod);
        return { ...nothing, steps: [{ do: "stop", name, graceMs, message: now.unhealthy.message }] };
      }
      if (now.image !== container.image) {
        const message = `Container ${name} definition changed, will be restarted`;
        return { ...nothing, steps: [{ do: "stop", name, graceMs: defaultGraceMs(pod), message }] };
      }
      return nothing;
    case "Exited": {
      if (isFinal(record, pod)) return nothing;
      const atMs = restartAtMs(record.backoff, now.exit.finishedAtMs);
      if (nowMs >= atMs) return { ...nothing, steps: [{ do: "start", name, attempt: attempt + 1 }] };
      const steps: readonly ContainerStep[] = now.backoffNoted ? [] : [{ do: "noteBackoff", name, untilMs: atMs }];
      return { ...nothing, steps, untilMs: atMs };
    }
    default:
      return unreachable(now);
  }
}

function stopOne(record: ContainerRecord, deadlineMs: number, nowMs: number): readonly ContainerStep[] {
  const { name, now } = record;
  switch (now.phase) {
    case "Starting":
      return [{ do: "cancel", name }];
    case "Running":
      return [{ do: "stop", name, graceMs: Math.max(0, deadlineMs - nowMs), message: `Stopping container ${name}` }];
    case "Stopping":
      return deadlineMs < now.deadlineMs ? [{ do: "hurry", name, deadlineMs }] : [];
    case "Waiting":
    case "Exited":
      return [];
    default:
      return unreachable(now);
  }
}

// The container's own policy and rules come before the pod's.
function shouldRestart(
  role: ContainerRole,
  container: Container | undefined,
  podPolicy: string | undefined,
  { exitCode }: Termination,
): boolean {
  if (role === "sidecar") return true;
  if (role === "ephemeral") return false;
  if (role === "init" && exitCode === 0) return false;
  if (matchingRule(container, { exitCode }) !== undefined) return true;
  const policy = container?.restartPolicy ?? podPolicy;
  if (policy === "Never") return false;
  return policy === "OnFailure" ? exitCode !== 0 : true;
}

/** The first one that fits decides. */
function matchingRule(container: Container | undefined, { exitCode }: Pick<Termination, "exitCode">) {
  return container?.restartPolicyRules?.find(
    ({ exitCodes }) =>
      exitCodes !== undefined && (exitCodes.values ?? []).includes(exitCode) === (exitCodes.operator === "In"),
  );
}

function exitOf(record: ContainerRecord): Termination | undefined {
  return record.now.phase === "Exited" ? record.now.exit : undefined;
}

function withSpecs(pod: Pod, observed: readonly ContainerRecord[]) {
  return containersOf(pod).flatMap(({ container }) => {
    const record = observed.find(({ name }) => name === container.name);
    return record === undefined ? [] : [{ record, container }];
  });
}

function merge(plans: readonly RunPlan[]): RunPlan {
  const times = plans.flatMap(({ untilMs }) => (untilMs === undefined ? [] : [untilMs]));
  return {
    steps: plans.flatMap(({ steps }) => steps),
    untilMs: times.length === 0 ? undefined : Math.min(...times),
    outcome: undefined,
  };
}
