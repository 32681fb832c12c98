// All commands of naru-oci: one file and one line each. Only the one that is asked for is loaded: naru-oci starts for every step of a
// container's life, and its callers wait.
import type { Command } from "./command.ts";

interface CommandLine {
  readonly name: string;
  readonly load: () => Promise<Command>;
}

export const commands: readonly CommandLine[] = [
  { name: "create", load: async () => (await import("./commands/create.ts")).createCommand },
  { name: "start", load: async () => (await import("./commands/start.ts")).startCommand },
  { name: "state", load: async () => (await import("./commands/state.ts")).stateCommand },
  { name: "kill", load: async () => (await import("./commands/kill.ts")).killCommand },
  { name: "delete", load: async () => (await import("./commands/delete.ts")).deleteCommand },
  { name: "run", load: async () => (await import("./commands/run.ts")).runCommand },
  { name: "exec", load: async () => (await import("./commands/exec.ts")).execCommand },
  { name: "list", load: async () => (await import("./commands/list.ts")).listCommand },
  { name: "ps", load: async () => (await import("./commands/ps.ts")).psCommand },
  { name: "pause", load: async () => (await import("./commands/pause.ts")).pauseCommand },
  { name: "resume", load: async () => (await import("./commands/pause.ts")).resumeCommand },
  { name: "events", load: async () => (await import("./commands/events.ts")).eventsCommand },
  { name: "update", load: async () => (await import("./commands/update.ts")).updateCommand },
  { name: "features", load: async () => (await import("./commands/features.ts")).featuresCommand },
  { name: "spec", load: async () => (await import("./commands/spec.ts")).specCommand },
];

/** Commands of other runtimes that naru-oci does not have, and why. */
export const absentCommands: ReadonlyMap<string, string> = new Map([
  ["checkpoint", "processes cannot be saved: nothing of CRIU's is here"],
  ["restore", "processes cannot be brought back: nothing of CRIU's is here"],
]);
