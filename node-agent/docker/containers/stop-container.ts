// Ends a container: its stop signal, and SIGKILL when it takes too long.
import { constants } from "node:os";
import { sleep } from "../../../lib/clock.ts";
import { signalNumber } from "../../../lib/signals.ts";
import { badRequest, conflict } from "../http/problem.ts";
import { eventAttributes } from "./create-container.ts";
import type { Life } from "./life.ts";
import type { DockerParts } from "./parts.ts";
import type { ContainerRecord } from "./record.ts";

const graceSecondsDefault = 10;
const sigkill = 9;

export interface StopOptions {
  /** Negative: as long as it takes. */
  readonly seconds?: number | undefined;
  readonly signal?: string | undefined;
}

/** "idle" when it did not run. */
export async function stopContainer(
  parts: DockerParts,
  life: Life,
  id: string,
  options: StopOptions,
): Promise<"stopped" | "idle"> {
  const { phase } = life.record(id);
  const restarting = life.live(id).restarting;
  if (phase === "running" || restarting) life.holdBack(id);
  if (phase !== "running") return restarting ? "stopped" : "idle";
  await endProcess(parts, life, id, options);
  parts.events.emit("container", "stop", id, eventAttributes(life.record(id)));
  return "stopped";
}

/** Without a word about whether it may start again. */
export async function endProcess(
  { runtime, clock, events }: DockerParts,
  life: Life,
  id: string,
  options: StopOptions,
): Promise<void> {
  const record = life.record(id);
  const number = options.signal ? signalOf(options.signal) : ownSignal(record);
  const seconds = options.seconds ?? record.config.StopTimeout ?? graceSecondsDefault;
  const over = life.over(id);
  const done = new AbortController();
  const send = async (signal: number) => {
    events.emit("container", "kill", id, eventAttributes(record, { signal: String(signal) }));
    await runtime.signal(id, signal, signal === sigkill ? "all" : "first");
    // What is frozen hears a signal when it goes on.
    if (life.record(id).paused) {
      await runtime.resume(id).catch(() => {});
      life.change(id, { paused: false }, "quick");
    }
  };
  await send(number);
  if (number !== sigkill && seconds >= 0) {
    const late = sleep(clock, seconds * 1000, done.signal).then(
      () => "late" as const,
      () => "over" as const,
    );
    const first = await Promise.race([over.then(() => "over" as const), late]);
    done.abort(new Error("it has ended"));
    if (first === "late") await send(sigkill);
  }
  await over;
}

/** Refuses what is no signal. */
export function signalOf(text: string): number {
  const number = signalNumber(text);
  if (number === undefined) throw badRequest(`invalid signal: ${text}`);
  return number;
}

// An image may name one that is none.
function ownSignal({ config }: ContainerRecord): number {
  return signalNumber(config.StopSignal ?? "") ?? constants.signals.SIGTERM;
}

export async function killContainer(parts: DockerParts, life: Life, id: string, signal: string): Promise<void> {
  const { runtime, events } = parts;
  const number = signalOf(signal === "" ? "SIGKILL" : signal);
  const record = life.record(id);
  if (record.phase !== "running")
    throw conflict(`cannot kill container: ${record.name}: container ${id} is not running`);
  const stops = number === sigkill || number === ownSignal(record);
  if (stops) life.holdBack(id);
  const over = life.over(id);
  await runtime.signal(id, number, number === sigkill ? "all" : "first");
  events.emit("container", "kill", id, eventAttributes(record, { signal: String(number) }));
  if (record.paused && number === sigkill) await runtime.resume(id).catch(() => {});
  if (number === sigkill) await over;
}
