// Nodes keep off pods that do not tolerate their taints.
// Source: Kubernetes, "Taints and Tolerations".
import type { Taint, Toleration } from "../../api/kinds/generated/types.ts";
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

/** Whether `toleration` lets a pod stay with `taint`. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== undefined && toleration.effect !== "" && toleration.effect !== taint.effect) return false;
  if (toleration.operator === "Exists")
    return toleration.key === undefined || toleration.key === "" || toleration.key === taint.key;
  return toleration.key === taint.key && (toleration.value ?? "") === (taint.value ?? "");
}

function printTaint(taint: Taint | undefined): string {
  if (taint === undefined) return "";
  return `${taint.key}${taint.value === undefined || taint.value === "" ? "" : `=${taint.value}`}:${taint.effect}`;
}
