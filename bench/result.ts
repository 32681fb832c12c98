// What a benchmark gives: samples in order of size, their median and 99th percentile, and what peers on the same machine need.

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly n: number;
  readonly median: number;
  /** Of rates: what 99 of 100 reach. */
  readonly p99: number;
  /** Medians in the same unit. */
  readonly peer?: Readonly<Record<string, number>>;
}

/** `samples` are not empty. */
export function summarize(name: string, unit: string, samples: readonly number[]): Result {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { name, unit, n: sorted.length, median: at(0.5), p99: at(0.99) };
}

/** Of rates the low ones are the bad ones. */
export function summarizeRates(name: string, samples: readonly number[]): Result {
  const { n, median, p99 } = summarize(
    name,
    "1/s",
    samples.map((rate) => -rate),
  );
  return { name, unit: "1/s", n, median: -median, p99: -p99 };
}
