// Nodes keep off pods that do not tolerate their taints.
// Source: Kubernetes, "Taints and Tolerations".
import type { Taint } from "../../api/kinds/generated/types.ts";
import { tolerates } from "../../api/kinds/node-fit.ts";
import type { Filter } from "../plugin.ts";

export const taints: Filter = {
  name: "Taints",
  looksAt: "description",
  prepare: (pod, snapshot) => {
    const untolerated = (slot: number) =>
      (snapshot.taints[slot] ?? []).find(
        (taint) => !pod.tolerations.some((toleration) => tolerates(toleration, taint)),
      );
    return {
      fits: (slot) => untolerated(slot) === undefined,
      refuse: (slot) => {
        const text = printTaint(untolerated(slot));
        return { group: `taint ${text}`, say: (nodes) => `${nodes === 1 ? "is" : "are"} tainted ${text}` };
      },
    };
  },
};

function printTaint(taint: Taint | undefined): string {
  if (taint === undefined) return "";
  return `${taint.key}${taint.value === undefined || taint.value === "" ? "" : `=${taint.value}`}:${taint.effect}`;
}
