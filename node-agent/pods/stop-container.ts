// Ends a running container: preStop hook, its stop signal, and SIGKILL when the grace period is over.
import { constants } from "node:os";
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import type { Timer } from "../../lib/clock.ts";
import { signalNumber } from "../../lib/signals.ts";
import { runHook } from "./hooks.ts";
import type { PodParts } from "./pod-parts.ts";
import { messageOf } from "./start-problem.ts";

export interface StopRequest {
  readonly pod: Pod;
  readonly container: Container;
  readonly id: string;
  readonly imageId: string;
  readonly podIp: string;
  readonly deadlineMs: number;
  /** Only its hook for now: the signal waits for `release`. */
  readonly held: boolean;
}

export interface Stop {
  /** What was held may end now, by this time. */
  release(deadlineMs: number): void;
  /** Moves the deadline nearer. */
  hurry(deadlineMs: number): void;
  /** It has ended: nothing more to send. */
  ended(): void;
}

/** Goes on by itself until `ended` is called. Deadlines are of the clock's `now`. */
export function stopContainer(request: StopRequest, parts: PodParts): Stop {
  const { clock, runtime, log } = parts;
  const { id, container } = request;
  const hook = new AbortController();
  const turn = Promise.withResolvers<void>();
  let { held } = request;
  let isOver = false;
  let timer: Timer | undefined;

  const send = (signal: number, target: "first" | "all") => {
    runtime
      .signal(id, signal, target)
      .catch((error) => log.warn({ container: id, error: messageOf(error) }, "signal failed"));
  };
  const kill = () => {
    hook.abort(new Error("grace period is over"));
    if (held) return;
    isOver = true;
    send(constants.signals.SIGKILL, "all");
    // Until it is seen to be gone: a signal may be lost with the process that was to send it.
    timer = clock.after(5000, kill);
  };
  const arm = (deadlineMs: number) => {
    timer?.cancel();
    timer = clock.after(Math.max(0, deadlineMs - clock.now()), kill);
  };
  const askToEnd = async () => {
    const graceMs = request.deadlineMs - clock.now();
    if (graceMs <= 0 && !held) return;
    const preStop = container.lifecycle?.preStop;
    if (preStop !== undefined && graceMs > 0) {
      await runHook(
        preStop,
        { containerId: id, container, podIp: request.podIp, timeoutMs: graceMs },
        parts,
        hook.signal,
      ).catch((error) => {
        if (hook.signal.aborted) return;
        const message = `PreStopHook failed: ${messageOf(error)}`;
        parts.events.pod(request.pod, {
          type: "Warning",
          reason: "FailedPreStopHook",
          message,
          container: container.name,
        });
      });
    }
    if (held) await turn.promise;
    const number = await stopSignal(request, parts);
    if (!isOver) send(number, "first");
  };

  arm(request.deadlineMs);
  askToEnd().catch((error) => log.warn({ container: id, error: messageOf(error) }, "could not ask a container to end"));
  return {
    hurry: arm,
    release: (deadlineMs) => {
      held = false;
      arm(deadlineMs);
      turn.resolve();
    },
    ended: () => {
      timer?.cancel();
      isOver = true;
      hook.abort(new Error("container has ended"));
    },
  };
}

async function stopSignal({ container, imageId }: StopRequest, { images }: PodParts): Promise<number> {
  const own = container.lifecycle?.stopSignal;
  const name = own ?? (await images.find(imageId).catch(() => undefined))?.config.stopSignal ?? "SIGTERM";
  return signalNumber(name) ?? constants.signals.SIGTERM;
}
