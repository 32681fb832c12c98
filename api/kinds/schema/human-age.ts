// Durations as kubectl prints them: "45s", "5m3s", "3h12m", "2d4h", "30d".

export function humanDuration(durationMs: number): string {
  throw new Error(`not done ${durationMs}`);
}

/** Time since an RFC 3339 timestamp; "<unknown>" without one. */
export function ageOf(timestamp: string | undefined, nowMs: number): string {
  throw new Error(`not done ${timestamp} ${nowMs}`);
}
