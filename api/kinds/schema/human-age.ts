// Durations as kubectl prints them: "45s", "5m3s", "3h12m", "2d4h", "30d".

export function humanDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / 1000);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.trunc(minutes / 60);
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.trunc(hours / 24);
  if (days < 8) return two(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  const years = Math.trunc(days / 365);
  return years < 8 ? two(years, "y", days % 365, "d") : `${years}y`;
}

/** Time since an RFC 3339 timestamp; "<unknown>" without one. */
export function ageOf(timestamp: string | undefined, nowMs: number): string {
  const since = timestamp === undefined ? Number.NaN : Date.parse(timestamp);
  return Number.isNaN(since) ? "<unknown>" : humanDuration(nowMs - since);
}

/** The smaller unit is left out when it is zero. */
function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}
