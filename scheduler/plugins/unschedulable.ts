// Cordoned nodes take nothing new.
import { tolerates } from "../../api/kinds/node-fit.ts";
import type { Filter } from "../plugin.ts";

const cordon = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

export const unschedulable: Filter = {
  name: "Unschedulable",
  looksAt: "description",
  prepare: (pod, snapshot) => {
    if (pod.tolerations.some((toleration) => tolerates(toleration, cordon))) return undefined;
    return {
      fits: (slot) => snapshot.unschedulable[slot] !== true,
      refuse: () => ({ group: "cordoned", say: (nodes) => (nodes === 1 ? "is cordoned" : "are cordoned") }),
    };
  },
};
