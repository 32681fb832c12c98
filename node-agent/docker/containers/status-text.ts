// How a container's state is told to people: "Up 5 minutes (healthy)". Pure.
import type { HealthState } from "./health.ts";
import type { ContainerRecord } from "./record.ts";

export type StateName = "created" | "running" | "paused" | "restarting" | "exited" | "dead" | "removing";

/** What is true of a container now, beside its record. */
export interface Live {
  readonly pid: number;
  readonly restarting: boolean;
  readonly removing: boolean;
  readonly health: HealthState | undefined;
  readonly execIds: readonly string[];
}

export function stateName(record: ContainerRecord, live: Live): StateName {
  if (live.removing) return "removing";
  if (live.restarting) return "restarting";
  if (record.phase === "running") return record.paused ? "paused" : "running";
  return record.phase;
}

export function statusText(record: ContainerRecord, live: Live, nowMs: number): string {
  const ago = (ms: number) => humanDuration(nowMs - ms);
  switch (stateName(record, live)) {
    case "created":
      return "Created";
    case "running": {
      const health =
        live.health === undefined
          ? ""
          : ` (${live.health.Status === "starting" ? "health: starting" : live.health.Status})`;
      return `Up ${ago(record.startedAtMs)}${health}`;
    }
    case "paused":
      return `Up ${ago(record.startedAtMs)} (Paused)`;
    case "restarting":
      return `Restarting (${record.exitCode}) ${ago(record.finishedAtMs)} ago`;
    case "exited":
      return record.finishedAtMs === 0 ? "Created" : `Exited (${record.exitCode}) ${ago(record.finishedAtMs)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
  }
}

/** As Docker rounds it. */
export function humanDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 14) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 60) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** RFC 3339; what never was is the beginning of Go's time. */
export function timeText(ms: number): string {
  return ms === 0 ? "0001-01-01T00:00:00Z" : new Date(ms).toISOString();
}
