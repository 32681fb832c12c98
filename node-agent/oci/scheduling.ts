// When and where a process runs. Source: OCI runtime specification, config.md, Linux Process; sched_setattr(2), ioprio_set(2).
import type { LaunchOp } from "../runtime/launch-op.ts";
import type { Fields } from "./fields.ts";

export interface SchedulingConfig {
  /** Arguments of the op `scheduler`. */
  readonly scheduler: readonly number[] | undefined;
  readonly ioPriority: number | undefined;
  /** Of a process that joins a container: before it joins its cgroups, and from then on. */
  readonly affinity: { readonly initial: readonly number[]; readonly final: readonly number[] };
}

const policies: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const schedulerFlags: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2,
  SCHED_FLAG_DL_OVERRUN: 4,
  SCHED_FLAG_KEEP_POLICY: 8,
  SCHED_FLAG_KEEP_PARAMS: 16,
  SCHED_FLAG_UTIL_CLAMP_MIN: 32,
  SCHED_FLAG_UTIL_CLAMP_MAX: 64,
};
const ioClasses: Readonly<Record<string, number>> = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 };
const cpusMax = 1024;

export function parseScheduling(process: Fields): SchedulingConfig {
  const scheduler = process.object("scheduler");
  const io = process.object("ioPriority");
  const affinity = process.object("execCPUAffinity");
  return {
    scheduler: scheduler === undefined ? undefined : parseScheduler(scheduler),
    ioPriority: io === undefined ? undefined : parseIoPriority(io),
    affinity: { initial: parseCpus(affinity, "initial"), final: parseCpus(affinity, "final") },
  };
}

export function planScheduling({ scheduler, ioPriority }: SchedulingConfig): readonly LaunchOp[] {
  return [
    ...(scheduler === undefined ? [] : [["scheduler", ...scheduler] satisfies LaunchOp]),
    ...(ioPriority === undefined ? [] : [["io-priority", ioPriority] satisfies LaunchOp]),
  ];
}

export function planAffinity(cpus: readonly number[]): readonly LaunchOp[] {
  return cpus.length === 0 ? [] : [["affinity", ...cpus]];
}

function parseScheduler(scheduler: Fields): readonly number[] {
  const policy = known(scheduler, "policy", scheduler.text("policy") ?? "", policies);
  const flags = scheduler
    .texts("flags")
    .reduce((all, name) => all | known(scheduler, "flags", name, schedulerFlags), 0);
  const nice = within(scheduler, "nice", [-20, 19]);
  const priority = within(scheduler, "priority", [0, 99]);
  const times = ["runtime", "deadline", "period"].map((name) => within(scheduler, name, [0, Number.MAX_SAFE_INTEGER]));
  return [policy, flags, nice + 20, priority, ...times];
}

function parseIoPriority(io: Fields): number {
  const ioClass = known(io, "class", io.text("class") ?? "", ioClasses);
  return (ioClass << 13) | within(io, "priority", [0, 7]);
}

/** "0-3,7" */
function parseCpus(affinity: Fields | undefined, name: string): readonly number[] {
  const text = affinity?.text(name) ?? "";
  if (affinity === undefined || text.trim() === "") return [];
  return text.split(",").flatMap((part) => {
    const [, first = "", last = first] = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part) ?? [];
    const count = Number(last) - Number(first) + 1;
    if (first === "" || count < 1 || Number(last) >= cpusMax)
      throw affinity.wrong(name, `${JSON.stringify(text)}, CPUs such as 0-3,7 are expected`);
    return Array.from({ length: count }, (_, i) => Number(first) + i);
  });
}

function known(fields: Fields, field: string, name: string, names: Readonly<Record<string, number>>): number {
  const value = names[name];
  if (value === undefined) throw fields.wrong(field, `${name}, known are ${Object.keys(names).join(", ")}`);
  return value;
}

function within(fields: Fields, field: string, [least, most]: readonly [number, number]): number {
  const value = fields.whole(field) ?? 0;
  if (value < least || value > most) throw fields.wrong(field, `${value}, ${least} to ${most} is expected`);
  return value;
}
