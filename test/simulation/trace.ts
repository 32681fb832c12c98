// Everything that happens in a run, as lines: their hash tells whether two runs were the same, the last of them what led to a failure.
import { createHash } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";

export interface Trace {
  note(...what: readonly (string | number)[]): void;
  /** Counts what was noted so far. */
  readonly lines: number;
  readonly last: readonly string[];
  /** Of everything noted; ends the trace. */
  hash(): string;
}

const keptLines = 200;

/** `onLine` gets each line, for a file that two runs can be compared by. */
export function openTrace(clock: Clock, onLine?: (line: string) => void): Trace {
  const hash = createHash("sha256");
  const last: string[] = [];
  let lines = 0;
  return {
    note: (...what) => {
      const line = `${clock.monotonicMs().toFixed(3)} ${what.join(" ")}`;
      lines++;
      hash.update(line).update("\n");
      last[lines % keptLines] = line;
      onLine?.(line);
    },
    get lines() {
      return lines;
    },
    get last() {
      const start = (lines % keptLines) + 1;
      return [...last.slice(start), ...last.slice(0, start)].filter((line) => line !== undefined);
    },
    hash: () => hash.digest("hex").slice(0, 16),
  };
}
