// CrashLoopBackOff and ImagePullBackOff: 10 s, doubling up to 300 s, forgotten after 10 quiet minutes.
// Source: Kubernetes, "Pod Lifecycle", container restarts; kubelet keeps one such entry per container and one per image.
import type { Backoff } from "./pod-state.ts";

const firstMs = 10_000;
const maxMs = 300_000;
const forgottenAfterMs = 600_000;

/** When a container that ended at `finishedAtMs` may start again: at once after its first crash. */
export function restartAtMs(backoff: Backoff | undefined, finishedAtMs: number): number {
  if (backoff === undefined || finishedAtMs - backoff.updatedAtMs > forgottenAfterMs) return finishedAtMs;
  return finishedAtMs + backoff.delayMs;
}

/** What to remember when it is started again, or when a pull failed. */
export function nextBackoff(backoff: Backoff | undefined, atMs: number): Backoff {
  if (backoff === undefined || atMs - backoff.updatedAtMs > forgottenAfterMs) {
    return { delayMs: firstMs, updatedAtMs: atMs };
  }
  return { delayMs: Math.min(maxMs, backoff.delayMs * 2), updatedAtMs: atMs };
}
