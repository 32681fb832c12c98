// What of a node's resources must stay available, as the kubelet's flags write it: "memory.available<100Mi,nodefs.available<10%". Pure.
// Source: Kubernetes documentation, "Node-pressure Eviction".
import { bytes } from "../../api/kinds/schema/quantity.ts";

export type Signal =
  | "memory.available"
  | "nodefs.available"
  | "nodefs.inodesFree"
  | "imagefs.available"
  | "imagefs.inodesFree"
  | "pid.available";

export type Amount = { readonly share: number } | { readonly count: number };

export interface Threshold {
  readonly signal: Signal;
  readonly min: Amount;
  /** "10%", "100Mi": as it was written. */
  readonly text: string;
  /** How long it has to be passed until something is done: 0 for a hard one. */
  readonly graceMs: number;
  /** Once something is done, it goes on until so much more than `min` is there. */
  readonly reclaim?: Amount;
}

export interface Observation {
  readonly available: number;
  readonly capacity: number;
}

/** What cannot be measured here is absent. */
export type Observations = { readonly [S in Signal]?: Observation };

const signals: readonly Signal[] = [
  "memory.available",
  "nodefs.available",
  "nodefs.inodesFree",
  "imagefs.available",
  "imagefs.inodesFree",
  "pid.available",
];

/** The kubelet's; of processes it has none, which would leave the kernel's whole table to pods. */
export const hardDefault =
  "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%,pid.available<10%";

/** `grace`: "memory.available=1m30s", one for each soft threshold; absent for hard ones. Throws for what it cannot read. */
export function parseThresholds(text: string, grace?: string): readonly Threshold[] {
  const graces = new Map(
    split(grace ?? "").map((part): readonly [string, number] => {
      const [, signal = "", time = ""] = /^([^=]+)=(.+)$/.exec(part) ?? [];
      return [signalOf(signal, part), durationMs(time, part)];
    }),
  );
  return split(text).map((part) => {
    const [, name = "", amount = ""] = /^([^<]+)<(.+)$/.exec(part) ?? [];
    const signal = signalOf(name, part);
    const graceMs = grace === undefined ? 0 : graces.get(signal);
    if (graceMs === undefined) throw new Error(`soft threshold ${part} needs a grace period, such as ${signal}=90s`);
    return { signal, min: amountOf(amount, part), text: amount, graceMs };
  });
}

/** `reclaims`: "nodefs.available=500Mi,imagefs.available=2Gi". Throws for what it cannot read. */
export function withMinimumReclaim(thresholds: readonly Threshold[], reclaims: string): readonly Threshold[] {
  const amounts = new Map(
    split(reclaims).map((part): readonly [Signal, Amount] => {
      const [, name = "", amount = ""] = /^([^=]+)=(.+)$/.exec(part) ?? [];
      return [signalOf(name, part), amountOf(amount, part)];
    }),
  );
  return thresholds.map((threshold) => {
    const reclaim = amounts.get(threshold.signal);
    return reclaim === undefined ? threshold : { ...threshold, reclaim };
  });
}

export function minOf({ min }: Threshold, observation: Observation): number {
  return countOf(min, observation);
}

/** What has to be there for it to be over, once something was done about it. */
export function reliefOf({ min, reclaim }: Threshold, observation: Observation): number {
  return countOf(min, observation) + (reclaim === undefined ? 0 : countOf(reclaim, observation));
}

function countOf(amount: Amount, { capacity }: Observation): number {
  return "share" in amount ? amount.share * capacity : amount.count;
}

/** Which of the kubelet's resources runs short. */
export function resourceOf(signal: Signal): "memory" | "ephemeral-storage" | "inodes" | "pids" {
  switch (signal) {
    case "memory.available":
      return "memory";
    case "nodefs.available":
    case "imagefs.available":
      return "ephemeral-storage";
    case "nodefs.inodesFree":
    case "imagefs.inodesFree":
      return "inodes";
    case "pid.available":
      return "pids";
  }
}

function split(text: string): readonly string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function signalOf(text: string, part: string): Signal {
  const signal = signals.find((known) => known === text.trim());
  if (signal === undefined)
    throw new Error(`eviction threshold ${JSON.stringify(part)}: it must begin with one of ${signals.join(", ")}`);
  return signal;
}

function amountOf(text: string, part: string): Amount {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  const wrong = (cause?: unknown) =>
    new Error(`eviction threshold ${JSON.stringify(part)} must end with an amount, such as 100Mi or 10%`, { cause });
  if (percent !== undefined) {
    if (Number(percent) > 100) throw wrong();
    return { share: Number(percent) / 100 };
  }
  try {
    const count = bytes(text);
    if (Number.isFinite(count) && count >= 0) return { count };
  } catch (cause) {
    throw wrong(cause);
  }
  throw wrong();
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationMs(text: string, part: string): number {
  if (!/^(\d+(ms|s|m|h))+$/.test(text))
    throw new Error(`eviction grace period ${JSON.stringify(part)} must look like memory.available=1m30s`);
  return [...text.matchAll(/(\d+)(ms|s|m|h)/g)].reduce(
    (sum, [, n, unit = ""]) => sum + Number(n) * (unitMs[unit] ?? 0),
    0,
  );
}
