// Prefers nodes on which CPU and memory fill up alike, so that neither strands the other.
import type { Score } from "../plugin.ts";

export const balancedUse: Score = {
  name: "BalancedUse",
  weight: 1,
  prepare: (pod, snapshot) => {
    if (pod.cpuMilli === 0 && pod.memoryBytes === 0) return undefined;
    const { cpuMilliFree, memoryBytesFree, capacity } = snapshot;
    return (slot) => {
      const total = capacity[slot];
      if (total === undefined || total.cpuMilli <= 0 || total.memoryBytes <= 0) return 0;
      const cpu = 1 - ((cpuMilliFree[slot] ?? 0) - pod.cpuMilli) / total.cpuMilli;
      const memory = 1 - ((memoryBytesFree[slot] ?? 0) - pod.memoryBytes) / total.memoryBytes;
      return 100 * (1 - Math.min(1, Math.abs(cpu - memory)));
    };
  },
};
