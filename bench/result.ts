// What a benchmark gives: durations in order of size, their median and 99th percentile.

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly n: number;
  readonly median: number;
  readonly p99: number;
}

/** `samples` are not empty. */
export function summarize(name: string, unit: string, samples: readonly number[]): Result {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { name, unit, n: sorted.length, median: at(0.5), p99: at(0.99) };
}
