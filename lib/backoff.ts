// Growing waits between tries.
import { fraction, type Random } from "./random.ts";

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The wait before try `failures + 1`, ms: doubles up to `maxMs`, then spread over its upper half so that many callers do not meet. */
export function backoffMs(limits: BackoffLimits, failures: number, random: Random): number {
  const full = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(failures, 30));
  return full / 2 + (full / 2) * fraction(random);
}
