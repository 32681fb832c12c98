import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { parseSchedule } from "./cron.ts";

const times = (text: string, from: string, count: number, timeZone?: string): readonly string[] | string => {
  const schedule = parseSchedule(text, timeZone);
  if (typeof schedule === "string") return schedule;
  const found: string[] = [];
  let atMs: number | undefined = Date.parse(from);
  for (let i = 0; i < count; i++) {
    atMs = schedule.next(atMs);
    if (atMs === undefined) break;
    found.push(new Date(atMs).toISOString().replace(":00.000Z", "Z"));
  }
  return found;
};

test("parseSchedule gives the times that five fields and @names mean", () => {
  deepEqual(
    [
      times("*/20 * * * *", "2026-01-01T00:00:00Z", 3),
      times("0 9 * * MON-FRI", "2026-01-02T10:00:00Z", 2),
      times("@hourly", "2026-01-01T00:00:01Z", 1),
      times("@midnight", "2026-01-01T00:00:01Z", 1),
      times("@every 1h30m", "2026-01-01T00:00:00Z", 2),
    ],
    [
      ["2026-01-01T00:20Z", "2026-01-01T00:40Z", "2026-01-01T01:00Z"],
      ["2026-01-05T09:00Z", "2026-01-06T09:00Z"],
      ["2026-01-01T01:00Z"],
      ["2026-01-02T00:00Z"],
      ["2026-01-01T01:30Z", "2026-01-01T03:00Z"],
    ],
  );
});

test("parseSchedule takes a day that fits either field of days when both are said, as cron does", () => {
  // 13 January 2026 is a Tuesday; Fridays are the 2nd, 9th, 16th.
  deepEqual(times("0 0 13 * 5", "2026-01-01T00:00:00Z", 4), [
    "2026-01-02T00:00Z",
    "2026-01-09T00:00Z",
    "2026-01-13T00:00Z",
    "2026-01-16T00:00Z",
  ]);
});

test("parseSchedule follows a time zone through the change of its clocks", () => {
  deepEqual(times("30 9 * * *", "2026-03-27T12:00:00Z", 3, "Europe/Berlin"), [
    "2026-03-28T08:30Z",
    "2026-03-29T07:30Z",
    "2026-03-30T07:30Z",
  ]);
});

test("parseSchedule never comes to a day that there is not", () => {
  deepEqual(times("0 0 31 2 *", "2026-01-01T00:00:00Z", 1), []);
});

test("parseSchedule says why a text is no schedule", () => {
  const reasons = ["* * * *", "@often", "TZ=UTC * * * * *", "@every 0.5s", "61 * * * *"].map((text) =>
    parseSchedule(text, undefined),
  );
  deepEqual(
    [...reasons, parseSchedule("* * * * *", "Mars/Olympus")],
    [
      "expected exactly 5 fields: minute, hour, day of month, month, day of week",
      "unrecognized descriptor, there are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @every <duration>",
      "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
      "@every takes at least 1s",
      "Invalid value for minute: 61",
      "unknown time zone Mars/Olympus",
    ],
  );
});
