// Lifecycle hooks: what a pod wants done right after a container's start, or before its end.
import type { Container, LifecycleHandler } from "../../api/kinds/generated/types.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { execInContainer } from "./exec-once.ts";
import { httpTarget, type ProbeTransport, portNumber } from "./probe-transport.ts";

export interface HookParts {
  readonly runtime: Runtime;
  readonly transport: ProbeTransport;
  readonly clock: Clock;
}

/** Resolves when the hook went well; rejects with why not. `timeoutMs` bounds http and tcp; the signal bounds all. */
export async function runHook(
  handler: LifecycleHandler,
  target: {
    readonly containerId: string;
    readonly container: Container;
    readonly podIp: string;
    readonly timeoutMs: number;
  },
  parts: HookParts,
  signal: AbortSignal,
): Promise<void> {
  if (handler.exec !== undefined) {
    const args = handler.exec.command ?? [];
    const { exitCode, output } = await execInContainer(parts.runtime, target.containerId, args, signal);
    if (exitCode !== 0) throw new Error(`command '${args.join(" ")}' exited with ${exitCode}: ${output}`);
  } else if (handler.httpGet !== undefined) {
    const { status } = await parts.transport.http(
      httpTarget(handler.httpGet, target.container, target.podIp),
      target.timeoutMs,
      signal,
    );
    if (status >= 400) throw new Error(`HTTP request answered with status ${status}`);
  } else if (handler.tcpSocket !== undefined) {
    const { host, port } = handler.tcpSocket;
    const number = portNumber(port, target.container);
    await parts.transport.tcp({ host: host ?? target.podIp, port: number }, target.timeoutMs, signal);
  } else if (handler.sleep !== undefined) {
    await sleep(parts.clock, handler.sleep.seconds * 1000, signal);
  }
}
