// Reads seccomp profiles in Docker's JSON format (and the OCI runtime specification's, which is a part of it).

export interface Condition {
  readonly index: number;
  readonly value: bigint;
  readonly valueTwo: bigint;
  readonly op: (typeof operators)[number];
}

interface Filter {
  readonly caps: readonly string[];
  readonly arches: readonly string[];
  readonly minKernel: readonly [number, number] | undefined;
}

export interface Rule {
  readonly names: readonly string[];
  /** What the filter returns: SECCOMP_RET_… with its data. */
  readonly action: number;
  readonly conditions: readonly Condition[];
  readonly includes: Filter;
  readonly excludes: Filter;
}

export interface Profile {
  readonly defaultAction: number;
  /** Undefined: all that the machine can run. */
  readonly architectures: readonly string[] | undefined;
  readonly rules: readonly Rule[];
}

const operators = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;

const actions: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_NOTIFY: 0x7fc0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};
const eperm = 1;

/** linux/seccomp.h: SECCOMP_FILTER_FLAG_…; the process has one thread yet, so that there is nothing to synchronize. */
const flags: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
};

/** As seccomp(2) takes them. Throws for one that is unknown. */
export function filterFlags(names: readonly string[]): number {
  return names.reduce((all, name) => {
    const flag = flags[name];
    if (flag === undefined)
      throw new Error(`seccomp profile: flags: ${name}, known are ${Object.keys(flags).join(", ")}`);
    return all | flag;
  }, 0);
}

export const seccompNames = { actions: Object.keys(actions), operators, flags: Object.keys(flags) } as const;

/** Throws with the field's path when the profile is not one. `listener`: whether somebody is there to be notified. */
export function parseProfile(value: unknown, { listener = false } = {}): Profile {
  const profile = object(value, "profile");
  const architectures = list(profile["architectures"], "architectures");
  const parsed = {
    defaultAction: action(profile["defaultAction"], profile["defaultErrnoRet"], "defaultAction"),
    architectures:
      architectures.length === 0 ? undefined : architectures.map((name, i) => text(name, `architectures[${i}]`)),
    rules: list(profile["syscalls"], "syscalls").map((entry, i) => rule(entry, `syscalls[${i}]`)),
  };
  checkNotify(parsed, listener);
  return parsed;
}

const notify = actions["SCMP_ACT_NOTIFY"];

function checkNotify({ defaultAction, rules }: Profile, listener: boolean): void {
  // Who is to be notified is told by sendmsg.
  if (defaultAction === notify)
    throw new Error("seccomp profile: defaultAction: SCMP_ACT_NOTIFY can be for some calls");
  const notified = rules.find((one) => one.action === notify && (!listener || one.names.includes("sendmsg")));
  if (notified === undefined) return;
  throw new Error(
    listener
      ? "seccomp profile: SCMP_ACT_NOTIFY cannot be for sendmsg, which hands the listener over"
      : `seccomp profile: ${notified.names.join(", ")}: SCMP_ACT_NOTIFY needs a listenerPath`,
  );
}

function rule(value: unknown, path: string): Rule {
  const entry = object(value, path);
  const names = entry["names"] === undefined ? [entry["name"]] : list(entry["names"], `${path}.names`);
  return {
    names: names.map((name, i) => text(name, `${path}.names[${i}]`)),
    action: action(entry["action"], entry["errnoRet"], `${path}.action`),
    conditions: list(entry["args"], `${path}.args`).map((arg, i) => parseCondition(arg, `${path}.args[${i}]`)),
    includes: filter(entry["includes"], `${path}.includes`),
    excludes: filter(entry["excludes"], `${path}.excludes`),
  };
}

function parseCondition(value: unknown, path: string): Condition {
  const arg = object(value, path);
  const index = whole(arg["index"], `${path}.index`);
  if (index > 5n) throw new Error(`seccomp profile: ${path}.index: ${index}, a system call has arguments 0 to 5`);
  const op = operators.find((known) => known === arg["op"]);
  if (op === undefined)
    throw new Error(`seccomp profile: ${path}.op: ${String(arg["op"])}, known are ${operators.join(", ")}`);
  const valueTwo = arg["valueTwo"] === undefined ? 0n : whole(arg["valueTwo"], `${path}.valueTwo`);
  return { index: Number(index), value: whole(arg["value"], `${path}.value`), valueTwo, op };
}

function filter(value: unknown, path: string): Filter {
  const entry = value === undefined || value === null ? {} : object(value, path);
  const minKernel = entry["minKernel"] === undefined ? undefined : text(entry["minKernel"], `${path}.minKernel`);
  const version = minKernel === undefined ? undefined : /^(\d+)\.(\d+)$/.exec(minKernel);
  if (version === null) throw new Error(`seccomp profile: ${path}.minKernel: ${minKernel}, such as 4.8 is expected`);
  return {
    caps: list(entry["caps"], `${path}.caps`).map((cap, i) => text(cap, `${path}.caps[${i}]`)),
    arches: list(entry["arches"], `${path}.arches`).map((arch, i) => text(arch, `${path}.arches[${i}]`)),
    minKernel: version === undefined ? undefined : [Number(version[1]), Number(version[2])],
  };
}

function action(value: unknown, errno: unknown, path: string): number {
  const name = text(value, path);
  const base = actions[name];
  if (base === undefined)
    throw new Error(`seccomp profile: ${path}: ${name}, known are ${Object.keys(actions).join(", ")}`);
  if (name !== "SCMP_ACT_ERRNO" && name !== "SCMP_ACT_TRACE") {
    if (errno !== undefined && errno !== null)
      throw new Error(`seccomp profile: ${path}: ${name} gives no error number`);
    return base;
  }
  const data = errno === undefined || errno === null ? eperm : Number(whole(errno, `${path}'s errno`));
  if (data > 4095) throw new Error(`seccomp profile: ${path}: errno ${data} is no error number`);
  return (base | data) >>> 0;
}

function object(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`seccomp profile: ${path}: an object is expected`);
  return { ...value };
}

function list(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error(`seccomp profile: ${path}: a list is expected`);
  return value;
}

function text(value: unknown, path: string): string {
  if (typeof value !== "string") throw new Error(`seccomp profile: ${path}: a string is expected`);
  return value;
}

function whole(value: unknown, path: string): bigint {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`seccomp profile: ${path}: a whole number is expected`);
  return BigInt(value);
}
