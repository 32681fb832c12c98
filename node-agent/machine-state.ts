// Whether the machine goes down, or only its agent: what the machine's init says of it. A restart of the agent ends no pods.
// Sources: systemctl(1) is-system-running; utmp(5), the record of the run level.
import { execFile } from "node:child_process";
import { access, readFile } from "node:fs/promises";

export type MachineState = "goes down" | "stays" | "unknown";

const systemctlMsMax = 2000;
/** Of struct utmp: a type, a pid, and what else there is. */
const recordBytes = 384;
const runLevelType = 1;

export async function readMachineState(): Promise<MachineState> {
  const hasSystemd = await access("/run/systemd/system").then(
    () => true,
    () => false,
  );
  return machineState({
    systemd: hasSystemd ? await systemRunning() : undefined,
    utmp: await readFile("/run/utmp").catch(() => Buffer.alloc(0)),
  });
}

/** `systemd`: what it says of the system; undefined where there is none. */
export function machineState({
  systemd,
  utmp,
}: {
  readonly systemd: string | undefined;
  readonly utmp: Buffer;
}): MachineState {
  if (systemd !== undefined && systemd !== "") return systemd === "stopping" ? "goes down" : "stays";
  const level = runLevel(utmp);
  if (level === undefined) return "unknown";
  return level === "0" || level === "6" ? "goes down" : "stays";
}

/** The last one that was entered: "2", "6". */
function runLevel(utmp: Buffer): string | undefined {
  let level: string | undefined;
  for (let at = 0; at + recordBytes <= utmp.length; at += recordBytes) {
    if (utmp.readInt16LE(at) !== runLevelType) continue;
    // The level before it is in the second byte.
    const now = utmp.readInt32LE(at + 4) & 0xff;
    level = now === 0 ? undefined : String.fromCharCode(now);
  }
  return level;
}

// It exits with a failure for every state but "running".
function systemRunning(): Promise<string> {
  return new Promise((resolve) => {
    execFile("systemctl", ["is-system-running"], { timeout: systemctlMsMax }, (_, stdout) => resolve(stdout.trim()));
  });
}
