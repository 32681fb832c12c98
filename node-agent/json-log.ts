// The agent's log: one JSON line an event on standard error, in pino's form; written here because pino costs a small node 5 MB.
import { writeSync } from "node:fs";
import type { Logger } from "../lib/log.ts";

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const;

export type LogLevel = keyof typeof levels;

export function isLogLevel(text: string): text is LogLevel {
  return Object.hasOwn(levels, text);
}

/** `now` gives ms since the epoch. A line that cannot be written (a full disk, a reader that went away) is dropped. */
export function jsonLogger(level: LogLevel, base: object, now: () => number): Logger {
  const write = (of: LogLevel) => (fields: object, message: string) => {
    if (levels[of] < levels[level]) return;
    try {
      writeSync(2, `${JSON.stringify({ level: levels[of], time: now(), ...base, ...plain(fields), msg: message })}\n`);
    } catch {
      // There is nowhere to say so.
    }
  };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => jsonLogger(level, { ...base, ...plain(fields) }, now),
  };
}

// Errors have no enumerable fields of their own; their causes are worth a word too.
function plain(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? describe(value) : value]),
  );
}

function describe(error: Error): string {
  const cause = error.cause instanceof Error ? `: ${describe(error.cause)}` : "";
  return `${error.stack ?? error.message}${cause}`;
}
