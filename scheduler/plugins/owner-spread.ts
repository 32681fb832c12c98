// Keeps the pods of one owner (a ReplicaSet) on different nodes where it can, without being asked.
import type { Score } from "../plugin.ts";

export const ownerSpread: Score = {
  name: "OwnerSpread",
  weight: 5,
  prepare: (pod, snapshot) => {
    const perNode = snapshot.podsOfOwner.get(pod.ownerUid);
    if (pod.ownerUid === "" || perNode === undefined) return undefined;
    let most = 0;
    for (const pods of perNode.values()) most = Math.max(most, pods);
    return (slot) => (100 * (most - (perNode.get(slot) ?? 0))) / most;
  },
};
