// V8 keeps the memory of a busy time for as long as little happens afterwards, since it collects when it allocates. A server that
// rolled out a hundred pods would hold 80 MB of garbage until the next rollout; a whole collection in a quiet moment takes it away.
// V8's own reducer does the same three times in a row: it is switched off where server and agents are started, and `gc` exposed.
import { getHeapStatistics } from "node:v8";
import type { Clock, Timer } from "./clock.ts";

const lookMs = 3000;
/** Of one core, between two looks. */
const quietShareMax = 0.1;
/** What makes a collection worth its 50 ms: work, beside what a quiet time takes itself, or so much more in the heap. */
const workMsMin = 300;
const grownBytesMin = 6 * 1024 * 1024;

export interface CollectOptions {
  readonly clock: Clock;
  /** CPU time of this process so far. */
  readonly cpuMs: () => number;
  /** Of its heap, in use or garbage. */
  readonly heapBytes: () => number;
  readonly collect: () => void;
}

/** Collects whenever it has become quiet after work, of which starting up is the first. */
export function collectWhenQuiet({ clock, cpuMs, heapBytes, collect }: CollectOptions): Disposable {
  let lookedAtCpuMs = cpuMs();
  let workMs = lookedAtCpuMs;
  let leftBytes = heapBytes();
  let timer: Timer;
  const look = () => {
    const nowCpuMs = cpuMs();
    const usedMs = nowCpuMs - lookedAtCpuMs;
    lookedAtCpuMs = nowCpuMs;
    if (usedMs > lookMs * quietShareMax) {
      workMs += usedMs;
    } else if (workMs >= workMsMin || heapBytes() - leftBytes >= grownBytesMin) {
      collect();
      workMs = 0;
      leftBytes = heapBytes();
      lookedAtCpuMs = cpuMs();
    }
    timer = clock.after(lookMs, look);
  };
  timer = clock.after(lookMs, look);
  return { [Symbol.dispose]: () => timer.cancel() };
}

/** Of this process. */
export function cpuMsOfProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export function heapBytesOfProcess(): number {
  return getHeapStatistics().used_heap_size;
}

/** Everything that nobody uses any more, and the pages that held it. Nothing in a process that was started without --expose-gc. */
export function collectAll(): void {
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
