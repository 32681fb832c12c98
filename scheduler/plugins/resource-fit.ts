// A node takes a pod only when everything that it requests is free.
import type { Filter, Refusal } from "../plugin.ts";
import type { PodRequirements } from "../requirements.ts";
import type { Snapshot } from "../snapshot.ts";

export const resourceFit: Filter = {
  name: "ResourceFit",
  looksAt: "use",
  prepare: (pod, snapshot) => {
    const { cpuMilli, memoryBytes, storageBytes } = pod;
    const { cpuMilliFree, memoryBytesFree, storageBytesFree, podsFree } = snapshot;
    const extended = Object.entries(pod.extended);
    return {
      fits: (slot) =>
        (podsFree[slot] ?? 0) >= 1 &&
        (cpuMilli === 0 || cpuMilli <= (cpuMilliFree[slot] ?? 0)) &&
        (memoryBytes === 0 || memoryBytes <= (memoryBytesFree[slot] ?? 0)) &&
        (storageBytes === 0 || storageBytes <= (storageBytesFree[slot] ?? 0)) &&
        extended.every(([name, amount]) => amount <= (snapshot.extendedFree[slot]?.get(name) ?? 0)),
      refuse: (slot) => refuse(pod, snapshot, slot),
    };
  },
};

function refuse(pod: PodRequirements, snapshot: Snapshot, slot: number): Refusal {
  const free = (column: Float64Array) => column[slot] ?? 0;
  if (free(snapshot.podsFree) < 1)
    return { group: "pods", say: (nodes) => `${nodes === 1 ? "runs" : "run"} as many pods as allowed` };
  if (pod.cpuMilli > free(snapshot.cpuMilliFree))
    return lack("CPU", pod.cpuMilli, free(snapshot.cpuMilliFree), printCpu);
  if (pod.memoryBytes > free(snapshot.memoryBytesFree))
    return lack("memory", pod.memoryBytes, free(snapshot.memoryBytesFree), printBytes);
  if (pod.storageBytes > free(snapshot.storageBytesFree)) {
    return lack("ephemeral storage", pod.storageBytes, free(snapshot.storageBytesFree), printBytes);
  }
  for (const [name, amount] of Object.entries(pod.extended)) {
    const has = snapshot.extendedFree[slot]?.get(name) ?? 0;
    if (amount > has) return lack(name, amount, has, String);
  }
  return { group: "changed", say: () => "changed while looking" };
}

function lack(what: string, needed: number, free: number, print: (amount: number) => string): Refusal {
  return {
    group: `lack of ${what}`,
    free: Math.max(0, free),
    say: (nodes, mostFree) =>
      nodes === 1
        ? `needs ${print(needed)} ${what}, has ${print(mostFree)} free`
        : `need ${print(needed)} ${what}, have ${print(mostFree)} free`,
  };
}

function printCpu(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}

function printBytes(amount: number): string {
  const units = ["", "Ki", "Mi", "Gi", "Ti"];
  let unit = 0;
  let left = amount;
  while (left >= 1024 && unit < units.length - 1) {
    left /= 1024;
    unit++;
  }
  return `${Number.isInteger(left) ? left : left.toFixed(1)}${units[unit]}`;
}
