// A container's health check: when the next one runs and what its result means. The decisions are pure; the runner asks an exec.
import { type Clock, sleep } from "../../../lib/clock.ts";
import type { HealthConfig } from "./record.ts";
import { timeText } from "./status-text.ts";

export interface HealthResult {
  readonly Start: string;
  readonly End: string;
  readonly ExitCode: number;
  readonly Output: string;
}

export interface HealthState {
  readonly Status: "starting" | "healthy" | "unhealthy";
  readonly FailingStreak: number;
  /** The last five. */
  readonly Log: readonly HealthResult[];
}

export interface HealthPlan {
  readonly args: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

const resultsMax = 5;
const outputBytesMax = 4096;
const secondMs = 1000;

/** undefined: there is nothing to check. */
export function planHealth(config: HealthConfig | undefined): HealthPlan | undefined {
  const [kind, ...rest] = config?.Test ?? [];
  if (config === undefined || (kind !== "CMD" && kind !== "CMD-SHELL")) return undefined;
  const ms = (nanoseconds: number, absent: number) => (nanoseconds === 0 ? absent : nanoseconds / 1e6);
  return {
    args: kind === "CMD" ? rest : ["/bin/sh", "-c", ...rest],
    intervalMs: ms(config.Interval, 30 * secondMs),
    timeoutMs: ms(config.Timeout, 30 * secondMs),
    startPeriodMs: ms(config.StartPeriod, 0),
    startIntervalMs: ms(config.StartInterval, 5 * secondMs),
    retries: config.Retries === 0 ? 3 : config.Retries,
  };
}

export const healthBegins: HealthState = { Status: "starting", FailingStreak: 0, Log: [] };

/** A failure within the start period does not count, the first success ends it. */
export function nextHealth(
  state: HealthState,
  result: HealthResult,
  { retries, starting }: { readonly retries: number; readonly starting: boolean },
): HealthState {
  const Log = [...state.Log, result].slice(-resultsMax);
  if (result.ExitCode === 0) return { Status: "healthy", FailingStreak: 0, Log };
  if (starting && state.Status === "starting") return { ...state, Log };
  const FailingStreak = state.FailingStreak + 1;
  return { Status: FailingStreak >= retries ? "unhealthy" : state.Status, FailingStreak, Log };
}

export interface HealthChecks {
  readonly clock: Clock;
  /** Runs the check in the container; the text is what it wrote. Rejects when it cannot be run. */
  readonly check: (
    args: readonly string[],
    signal: AbortSignal,
  ) => Promise<{ readonly exitCode: number; readonly output: string }>;
  readonly onState: (state: HealthState, result: HealthResult) => void;
}

/** Until the signal is aborted. */
export async function runHealthChecks(plan: HealthPlan, checks: HealthChecks, signal: AbortSignal): Promise<void> {
  const { clock } = checks;
  const startedMs = clock.monotonicMs();
  let state = healthBegins;
  while (!signal.aborted) {
    const isStarting = () => clock.monotonicMs() - startedMs < plan.startPeriodMs;
    const waitMs = state.Status === "starting" && isStarting() ? plan.startIntervalMs : plan.intervalMs;
    await sleep(clock, waitMs, signal).catch(() => {});
    if (signal.aborted) return;
    const begunMs = clock.now();
    const outcome = await checkOnce(plan, checks, signal);
    if (signal.aborted) return;
    const result = { Start: timeText(begunMs), End: timeText(clock.now()), ...outcome };
    state = nextHealth(state, result, { retries: plan.retries, starting: isStarting() });
    checks.onState(state, result);
  }
}

async function checkOnce(
  plan: HealthPlan,
  { check, clock }: HealthChecks,
  signal: AbortSignal,
): Promise<Pick<HealthResult, "ExitCode" | "Output">> {
  const timeout = new AbortController();
  const timer = clock.after(plan.timeoutMs, () => timeout.abort(new Error("too long")));
  try {
    const { exitCode, output } = await check(plan.args, AbortSignal.any([signal, timeout.signal]));
    return { ExitCode: exitCode, Output: output.slice(0, outputBytesMax) };
  } catch (error) {
    if (timeout.signal.aborted) return { ExitCode: -1, Output: `Health check exceeded timeout (${plan.timeoutMs} ms)` };
    return { ExitCode: -1, Output: error instanceof Error ? error.message : String(error) };
  } finally {
    timer.cancel();
  }
}
