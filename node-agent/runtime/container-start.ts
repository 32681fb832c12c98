// The start of a container: its plan, ours or another runtime's, is sent to the launcher, also when that is lost on the way; what went
// wrong is told as a LaunchError.
import { type Clock, sleep } from "../../lib/clock.ts";
import type { ContainerCgroups } from "./container-cgroups.ts";
import { isAlive, parseStatus, readStatus, type StatusRecord } from "./container-directory.ts";
import type { ContainerEntries } from "./container-entries.ts";
import { allowedDevices } from "./defaults.ts";
import { compileDeviceFilter } from "./device-filter.ts";
import { hostDevices } from "./host-devices.ts";
import { asLaunchError } from "./launch-errors.ts";
import type { LaunchOp } from "./launch-op.ts";
import { LauncherError, LauncherGoneError } from "./launcher-client.ts";
import type { LauncherProcess } from "./launcher-process.ts";
import type { OciRuntimes } from "./oci-runtimes.ts";
import { planLaunch } from "./plan.ts";
import { type ContainerSpec, LaunchError, type LogLimits } from "./runtime.ts";
import type { SeccompFilters } from "./seccomp-filters.ts";
import type { WaitingSandboxes } from "./waiting-sandboxes.ts";

export const logLimits: LogLimits = { logFileBytesMax: 10 * 1024 * 1024, logFilesMax: 3 };

const ealready = 114;
/** Until a launch is given up whose launcher went away. Other runtimes take their time. */
const launchTriesMax = { builtIn: 5, oci: 200 };
const launchWaitMs = 50;
/** Until a run is begun though the monitor of the one before has not ended. */
const endTriesMax = 1000;
const endWaitMs = 2;

export interface StartParts {
  readonly entries: ContainerEntries;
  readonly launcher: LauncherProcess;
  readonly oci: OciRuntimes;
  readonly cgroups: ContainerCgroups;
  readonly seccomp: SeccompFilters;
  readonly waiting: WaitingSandboxes;
  readonly clock: Clock;
  /** Where every container's root is mounted, each in its own mount namespace. */
  readonly rootfsPath: string;
}

interface StartOptions {
  readonly holdOutput: boolean;
}

/** Resolves once its program runs; rejects with LaunchError. One that runs already, or starts, is not started again. */
export async function startContainer(
  parts: StartParts,
  id: string,
  options: StartOptions,
): Promise<{ readonly pid: number }> {
  const { state } = parts.entries.get(id);
  if (state.status === "running") return { pid: state.pid };
  return parts.entries.startOnce(id, () => start(parts, id, options));
}

/** Of the built-in runtime. */
export function planStart(
  { cgroups, seccomp, rootfsPath }: StartParts,
  spec: ContainerSpec,
  { holdOutput }: StartOptions,
): readonly LaunchOp[] {
  const cgroup = cgroups.plan(spec);
  return planLaunch(spec, {
    rootfsPath,
    cgroup,
    deviceFilter: cgroup?.deviceFilter
      ? compileDeviceFilter([...allowedDevices, ...(spec.devices ?? []), ...(spec.deviceRules ?? [])])
      : undefined,
    seccompFilter: seccomp.filterOf(spec),
    ...(spec.logLimits ?? logLimits),
    hostDevices: spec.privileged ? hostDevices() : [],
    holdOutput,
  });
}

async function start(parts: StartParts, id: string, options: StartOptions): Promise<{ readonly pid: number }> {
  const { entries, oci, waiting } = parts;
  const entry = entries.get(id);
  if (entry.state.status === "stopped") await untilUnmounted(parts, id);
  entries.begin(id);
  const delegated = await oci.planStart(entry.spec, entries.directoryOf(id), options);
  const ops = delegated?.ops ?? planStart(parts, entry.spec, options);
  const triesMax = delegated === undefined ? launchTriesMax.builtIn : launchTriesMax.oci;
  const status = await launch(parts, { id, ops, triesMax }).catch((error: unknown) => {
    throw delegated?.explain(error) ?? error;
  });
  entries.started(id, status);
  waiting.started(ops);
  return { pid: status.process.pid };
}

/** A monitor tells of the end first, and then lets go of the mounts: an overlay's folders cannot be in use twice. */
async function untilUnmounted({ entries, clock }: StartParts, id: string): Promise<void> {
  const monitor = readStatus(entries.directoryOf(id))?.monitor;
  for (let tries = 0; monitor !== undefined && isAlive(monitor) && tries < endTriesMax; tries++)
    await sleep(clock, endWaitMs);
}

interface Launch {
  readonly id: string;
  readonly ops: readonly LaunchOp[];
  readonly triesMax: number;
}

async function launch({ launcher, entries, clock }: StartParts, { id, ops, triesMax }: Launch): Promise<StatusRecord> {
  for (let tries = 0; ; tries++) {
    const client = await launcher.client();
    try {
      const [text] = await client.launch(id, ops);
      return parseStatus(text ?? "");
    } catch (error) {
      const again = error instanceof LauncherGoneError || (error instanceof LauncherError && error.errno === ealready);
      if (!again) throw asLaunchError(error, ops);
      // A launcher that was killed may have forked the monitor before.
      const status = readStatus(entries.directoryOf(id));
      if (status !== undefined) {
        // Its end may have been told to nobody.
        entries.look(id);
        return status;
      }
      if (tries >= triesMax) throw new LaunchError(`start ${id}: the launcher is gone`, 128, { cause: error });
      await sleep(clock, launchWaitMs);
    }
  }
}
