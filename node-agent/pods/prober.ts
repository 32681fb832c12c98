// Startup, liveness and readiness probes of one running container, each on its own timer.
// Source: Kubernetes, "Configure Liveness, Readiness and Startup Probes". Unlike there, a container that has just started is asked
// at once and again every few ms for its first second, then every second, uncounted, so that it is Ready when it is ready and not a
// period later.
import type { Container, Probe } from "../../api/kinds/generated/types.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { execInContainer } from "./exec-once.ts";
import { httpTarget, type ProbeTransport, portNumber } from "./probe-transport.ts";
import { messageOf } from "./start-problem.ts";

export type ProbeKind = "startup" | "liveness" | "readiness";

export interface ProbeParts {
  readonly runtime: Runtime;
  readonly transport: ProbeTransport;
  readonly clock: Clock;
}

export interface ProbeTarget {
  readonly containerId: string;
  readonly container: Container;
  readonly podIp: string;
  /** False for one that an earlier agent started: it is not asked eagerly. */
  readonly fresh: boolean;
  /** Its startup probe has passed already, or there is none. */
  readonly started: boolean;
}

export interface ProbeEvents {
  /** A probe's threshold was passed, either way. */
  onResult(kind: ProbeKind, result: { readonly ok: boolean; readonly message: string }): void;
  /** One counted failure. */
  onFailure(kind: ProbeKind, message: string): void;
}

const eagerForMs = 1000;
const eagerFirstMs = 5;
const eagerMaxMs = 100;
/** Between counted failures of one that never passed: a machine that is busy starts programs slowly. */
const waitingMaxMs = 1000;
/** Of grpc.health.v1, by number. */
const servingStatuses = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const grpcServing = servingStatuses.indexOf("SERVING");

/** Begins; the returned function ends it. Readiness and liveness wait for the startup probe. */
export function startProbes(target: ProbeTarget, parts: ProbeParts, events: ProbeEvents): () => void {
  const controller = new AbortController();
  const { startupProbe, livenessProbe, readinessProbe } = target.container;
  const begin = (kind: ProbeKind, probe: Probe | undefined, afterPass?: () => void) => {
    if (probe === undefined) return;
    loopProbe(kind, probe, target, parts, controller.signal, {
      onFailure: (message) => events.onFailure(kind, message),
      onResult: (ok, message) => {
        events.onResult(kind, { ok, message });
        if (ok) afterPass?.();
      },
      endsWithPass: kind === "startup",
    });
  };
  const beginRest = () => {
    begin("readiness", readinessProbe);
    begin("liveness", livenessProbe);
  };
  if (target.started) beginRest();
  else begin("startup", startupProbe, beginRest);
  return () => controller.abort(new Error("probes ended"));
}

interface LoopEvents {
  onResult(ok: boolean, message: string): void;
  onFailure(message: string): void;
  readonly endsWithPass: boolean;
}

function loopProbe(
  kind: ProbeKind,
  probe: Probe,
  target: ProbeTarget,
  parts: ProbeParts,
  signal: AbortSignal,
  events: LoopEvents,
): void {
  const { clock } = parts;
  const periodMs = (probe.periodSeconds ?? 10) * 1000;
  const initialDelayMs = (probe.initialDelaySeconds ?? 0) * 1000;
  const failureThreshold = probe.failureThreshold ?? 3;
  const successThreshold = probe.successThreshold ?? 1;
  let timer: Timer | undefined;
  let passed: boolean | undefined;
  let successes = 0;
  let failures = 0;
  let eagerMs = kind === "liveness" || !target.fresh ? Number.POSITIVE_INFINITY : eagerFirstMs;
  let countsAtMs = Number.NEGATIVE_INFINITY;
  let everPassed = false;

  const schedule = (delayMs: number) => {
    timer = clock.after(delayMs, () => {
      timer = undefined;
      run().catch(() => {});
    });
  };
  const run = async () => {
    if (signal.aborted) return;
    const result = await probeOnce(probe, target, parts, signal);
    if (signal.aborted) return;
    if (result.ok) {
      failures = 0;
      if (++successes >= successThreshold && passed !== true) {
        passed = everPassed = true;
        events.onResult(true, "");
        if (events.endsWithPass) return;
      }
      // Further successes that the threshold asks for come at the period, as specified.
      schedule(periodMs);
      return;
    }
    if (!everPassed && clock.monotonicMs() + eagerMs < countsAtMs) {
      schedule(eagerMs);
      eagerMs = Math.min(failures === 0 ? eagerMaxMs : waitingMaxMs, eagerMs * 1.5);
      return;
    }
    successes = 0;
    failures++;
    events.onFailure(result.message);
    if (failures >= failureThreshold && passed !== false) {
      passed = false;
      events.onResult(false, result.message);
    }
    countsAtMs = clock.monotonicMs() + periodMs;
    schedule(everPassed ? periodMs : Math.min(eagerMs, periodMs));
  };
  signal.addEventListener("abort", () => timer?.cancel(), { once: true });
  if (initialDelayMs > 0) {
    schedule(initialDelayMs);
    return;
  }
  countsAtMs = clock.monotonicMs() + Math.min(eagerForMs, periodMs);
  // A liveness probe right after the start would only find what is still starting.
  if (kind === "liveness") schedule(periodMs);
  else run().catch(() => {});
}

/** One question, answered within the probe's timeout. Never rejects. */
export async function probeOnce(
  probe: Probe,
  target: ProbeTarget,
  { runtime, transport, clock }: ProbeParts,
  signal: AbortSignal,
): Promise<{ readonly ok: boolean; readonly message: string }> {
  const timeoutMs = Math.max(1, probe.timeoutSeconds ?? 1) * 1000;
  try {
    if (probe.httpGet !== undefined) {
      const { status, body } = await transport.http(
        httpTarget(probe.httpGet, target.container, target.podIp),
        timeoutMs,
        signal,
      );
      if (status >= 200 && status < 400) return { ok: true, message: body };
      return { ok: false, message: `HTTP probe failed with statuscode: ${status}` };
    }
    if (probe.tcpSocket !== undefined) {
      const port = portNumber(probe.tcpSocket.port, target.container);
      await transport.tcp({ host: probe.tcpSocket.host ?? target.podIp, port }, timeoutMs, signal);
      return { ok: true, message: "" };
    }
    if (probe.exec !== undefined) {
      const args = probe.exec.command ?? [];
      const { exitCode, output } = await withTimeout(
        clock,
        timeoutMs,
        signal,
        `command timed out: "${args.join(" ")}" timed out after ${timeoutMs / 1000}s`,
        (limit) => execInContainer(runtime, target.containerId, args, limit),
      );
      return exitCode === 0
        ? { ok: true, message: output }
        : { ok: false, message: output === "" ? `command exited with ${exitCode}` : output };
    }
    if (probe.grpc !== undefined) {
      const { port, service = "" } = probe.grpc;
      const status = await transport.grpc({ host: target.podIp, port, service }, timeoutMs, signal);
      if (status === grpcServing) return { ok: true, message: "" };
      return { ok: false, message: `service unhealthy (responded with "${servingStatuses[status] ?? status}")` };
    }
    return { ok: false, message: "the probe says neither httpGet, tcpSocket, exec nor grpc" };
  } catch (error) {
    return { ok: false, message: messageOf(error) };
  }
}

async function withTimeout<T>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  message: string,
  run: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = clock.after(timeoutMs, () => controller.abort(new Error(message)));
  try {
    return await run(controller.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}
