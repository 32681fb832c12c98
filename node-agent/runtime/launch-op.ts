// What the parts of a launch plan share: an op for the launcher, and what a plan knows of the machine.
import type { CgroupPlan } from "./cgroups.ts";
import type { Device } from "./defaults.ts";
import type { FrameField } from "./frames.ts";

/** An op's name and arguments. */
export type LaunchOp = readonly [name: string, ...args: FrameField[]];

export interface LaunchContext {
  /** An empty directory of the host on which the root is mounted, in the container's mount namespace only. */
  readonly rootfsPath: string;
  readonly cgroup: CgroupPlan | undefined;
  /** Where the cgroup plan asks for one. */
  readonly deviceFilter: Buffer | undefined;
  /** Absent: no filter. */
  readonly seccompFilter: Buffer | undefined;
  readonly logFileBytesMax: number;
  readonly logFilesMax: number;
  /** A privileged container's, besides the default ones. */
  readonly hostDevices: readonly Device[];
  /** Nothing of its output is read before someone attached. */
  readonly holdOutput?: boolean;
}

/** The process whose namespaces an exec enters. */
export interface ExecTarget {
  readonly pid: number;
  /** Clock ticks after boot, so that a reused number is not taken for it. */
  readonly startTicks: string;
}
