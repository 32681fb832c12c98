// The life of a pod on its node, decided purely: what to do next, given where it stands and what is wanted. Nothing here acts.
import { unreachable } from "../../lib/assert.ts";
import { type ContainerStep, initialised, planRun, planStop } from "./next-container-step.ts";
import { type ContainerRecord, isAlive, type PodState, type Wanted } from "./pod-state.ts";

export type Step =
  /** Nothing to do before `untilMs`, or before something changes. */
  | { readonly do: "wait"; readonly untilMs: number | undefined }
  | { readonly do: "setUp" }
  | { readonly do: "containers"; readonly steps: readonly ContainerStep[]; readonly untilMs: number | undefined }
  | {
      readonly do: "finish";
      readonly outcome: "Succeeded" | "Failed";
      readonly reason: string;
      readonly message: string;
    }
  /** Removes sandbox, network and volumes; keeps logs and exit codes. */
  | { readonly do: "cleanUp" }
  /** Removes everything. */
  | { readonly do: "tearDown" }
  /** Tells the server that nothing is left. */
  | { readonly do: "forget" };

/** One step of a pod's life. Asked again after every step and every change; the same question gives the same answer. */
export function nextStep(state: PodState, wanted: Wanted, observed: readonly ContainerRecord[], nowMs: number): Step {
  switch (state.phase) {
    case "Accepted":
      if (wanted.intent.do === "stop") return stop(wanted, observed, nowMs);
      return finishedBefore(wanted, observed) ?? { do: "setUp" };
    case "SettingUp":
      return { do: "wait", untilMs: undefined };
    case "SetUpFailed":
      if (wanted.intent.do === "stop") return stop(wanted, observed, nowMs);
      return nowMs < state.retryAtMs ? { do: "wait", untilMs: state.retryAtMs } : { do: "setUp" };
    case "Up":
      return wanted.intent.do === "stop" ? stop(wanted, observed, nowMs) : run(wanted, observed, nowMs);
    case "Finished":
      if (wanted.intent.do === "stop" && wanted.intent.leave === "nothing" && state.leftovers !== "going") {
        return { do: "tearDown" };
      }
      return state.leftovers === "here" ? { do: "cleanUp" } : { do: "wait", untilMs: undefined };
    case "TearingDown":
      return { do: "wait", untilMs: undefined };
    case "TearDownFailed":
      return nowMs < state.retryAtMs ? { do: "wait", untilMs: state.retryAtMs } : { do: "tearDown" };
    case "Gone":
      return { do: "forget" };
    default:
      return unreachable(state);
  }
}

function stop({ pod, intent, stopSinceMs }: Wanted, observed: readonly ContainerRecord[], nowMs: number): Step {
  if (intent.do !== "stop") return { do: "wait", untilMs: undefined };
  if (observed.some(isAlive)) {
    const deadlineMs = (stopSinceMs ?? nowMs) + intent.graceMs;
    return { do: "containers", steps: planStop(pod, observed, { deadlineMs, nowMs }), untilMs: undefined };
  }
  if (intent.leave === "nothing") return { do: "tearDown" };
  return { do: "finish", outcome: "Failed", reason: intent.reason, message: intent.message };
}

function run(wanted: Wanted, observed: readonly ContainerRecord[], nowMs: number): Step {
  const plan = planRun(wanted.pod, observed, nowMs);
  if (plan.outcome !== undefined) return { do: "finish", outcome: plan.outcome, reason: "", message: "" };
  if (plan.steps.length === 0) return { do: "wait", untilMs: plan.untilMs };
  return { do: "containers", steps: plan.steps, untilMs: plan.untilMs };
}

// A pod that had ended before the agent started must not run a second time.
function finishedBefore(wanted: Wanted, observed: readonly ContainerRecord[]): Step | undefined {
  if (observed.some(isAlive)) return undefined;
  const { phase, reason, message } = wanted.pod.status ?? {};
  if (phase === "Succeeded" || phase === "Failed") {
    return { do: "finish", outcome: phase, reason: reason ?? "", message: message ?? "" };
  }
  if (!initialised(observed)) return undefined;
  const outcome = planRun(wanted.pod, observed, 0).outcome;
  return outcome === undefined ? undefined : { do: "finish", outcome, reason: "", message: "" };
}
