// Schedules in cron's five fields (minute, hour, day of month, month, day of week), their @names, and "@every 1h30m". Pure.
import { Cron } from "croner";

export interface Schedule {
  /** The first time after `afterMs`, both ms since the epoch; undefined when there is none, as for 31 February. */
  next(afterMs: number): number | undefined;
}

const everyPattern = /^@every\s+((?:\d+(?:\.\d+)?(?:h|m|s))+)$/;
const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000 };
const names = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/** A reason instead of a schedule when `text` is none. `timeZone` is an IANA name; undefined: UTC. */
export function parseSchedule(text: string, timeZone: string | undefined): Schedule | string {
  const every = everyPattern.exec(text)?.[1];
  if (every !== undefined) return everySchedule(every);
  if (text.startsWith("@") && !names.includes(text)) {
    return `unrecognized descriptor, there are ${names.join(", ")} and @every <duration>`;
  }
  if (/^(?:CRON_)?TZ=/.test(text)) return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
  if (!text.startsWith("@") && text.trim().split(/\s+/).length !== 5) {
    return "expected exactly 5 fields: minute, hour, day of month, month, day of week";
  }
  if (!isTimeZone(timeZone ?? "UTC")) return `unknown time zone ${timeZone}`;
  try {
    const cron = new Cron(text.replace("@midnight", "@daily"), { timezone: timeZone ?? "UTC", paused: true });
    return { next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() };
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error);
  }
}

export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

function everySchedule(duration: string): Schedule | string {
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)([hms])/g)];
  const wholeMs = parts.reduce((sum, [, amount, unit = "s"]) => sum + Number(amount) * (unitMs[unit] ?? 0), 0);
  const stepMs = Math.floor(wholeMs / 1000) * 1000;
  if (stepMs === 0) return "@every takes at least 1s";
  return { next: (afterMs) => Math.floor(afterMs / 1000) * 1000 + stepMs };
}
