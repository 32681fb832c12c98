// Prefers nodes with much left, so that load spreads.
import type { Score } from "../plugin.ts";

export const leastUsed: Score = {
  name: "LeastUsed",
  weight: 1,
  prepare: (pod, snapshot) => {
    // A pod that asks nothing still costs something; Kubernetes assumes the same amounts.
    const cpu = pod.cpuMilli === 0 ? 100 : pod.cpuMilli;
    const memory = pod.memoryBytes === 0 ? 200 * 1024 * 1024 : pod.memoryBytes;
    const { cpuMilliFree, memoryBytesFree, podsFree, capacity } = snapshot;
    return (slot) => {
      const total = capacity[slot];
      if (total === undefined) return 0;
      return (
        (100 *
          (share((cpuMilliFree[slot] ?? 0) - cpu, total.cpuMilli) +
            share((memoryBytesFree[slot] ?? 0) - memory, total.memoryBytes) +
            share((podsFree[slot] ?? 0) - 1, total.pods))) /
        3
      );
    };
  },
};

function share(part: number, total: number): number {
  return total <= 0 || part <= 0 ? 0 : part / total;
}
