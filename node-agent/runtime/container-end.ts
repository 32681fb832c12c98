// The end of a container: signals to its processes, and its removal with everything it had.
import { type Clock, sleep } from "../../lib/clock.ts";
import type { ContainerCgroups } from "./container-cgroups.ts";
import type { ContainerEntries } from "./container-entries.ts";
import { LauncherError } from "./launcher-client.ts";
import type { LauncherProcess } from "./launcher-process.ts";
import type { OciRuntimes } from "./oci-runtimes.ts";

const esrch = 3;
const sigkill = 9;
const startTriesMax = 1000;
const startWaitMs = 10;

export interface EndParts {
  readonly entries: ContainerEntries;
  readonly launcher: LauncherProcess;
  readonly oci: OciRuntimes;
  readonly cgroups: ContainerCgroups;
  readonly clock: Clock;
}

/** One that is starting gets it once it runs. Silent when it has ended. */
export async function signalContainer(
  { entries, launcher, oci, cgroups }: EndParts,
  id: string,
  { signal, target }: { readonly signal: number; readonly target: "first" | "all" },
): Promise<void> {
  const entry = entries.get(id);
  await entry.starting?.catch(() => undefined);
  if (target === "all") cgroups.signal(entry.spec, signal);
  if (target === "all" || entry.state.status !== "running" || entry.process === undefined) return;
  const { pid, startTicks } = entry.process;
  if (await oci.signal(entry.spec, entry.process, signal)) return;
  const client = await launcher.client();
  await client.request("signal", [pid, startTicks, signal]).catch((error: unknown) => {
    if (!(error instanceof LauncherError) || error.errno !== esrch) throw error;
  });
}

/** An agent that is gone may have asked for a start which is under way still. */
async function untilStartKnown({ entries, launcher, clock }: EndParts, id: string): Promise<void> {
  for (let tries = 0; entries.get(id).state.status === "created"; tries++) {
    const [isMonitored] = await launcher.request("is-monitored", [id]);
    entries.look(id);
    if (isMonitored === "0") return;
    if (tries >= startTriesMax) throw new Error(`remove ${id}: a start of it does not come to an end`);
    await sleep(clock, startWaitMs);
  }
}

/** Kills what still runs; can be called again. */
export async function removeContainer(parts: EndParts, id: string): Promise<void> {
  const { entries, oci, cgroups } = parts;
  const entry = entries.find(id);
  if (entry === undefined) return;
  await entry.starting?.catch(() => undefined);
  await untilStartKnown(parts, id);
  if (entry.state.status === "running") {
    // What is frozen does not end.
    await cgroups.freeze(entry.spec, "thawed").catch(() => {});
    await signalContainer(parts, id, { signal: sigkill, target: "first" });
    await entries.wait(id);
  }
  await oci.remove(entry.spec, entries.directoryOf(id));
  await cgroups.remove(entry.spec, oci.cgroupsOf(entry.spec));
  entries.delete(id);
}
