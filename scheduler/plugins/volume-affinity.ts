// Volumes that are on some nodes only keep their pods there.
import type { Filter } from "../plugin.ts";
import { termMatches } from "./node-affinity.ts";

export const volumeAffinity: Filter = {
  name: "VolumeAffinity",
  looksAt: "description",
  prepare: ({ volumeTerms }, snapshot) => {
    if (volumeTerms.length === 0) return undefined;
    return {
      fits: (slot) => volumeTerms.every((terms) => terms.some((term) => termMatches(term, snapshot, slot))),
      refuse: () => ({
        group: "volumes",
        say: (nodes) => (nodes === 1 ? "lacks the pod's volume" : "lack the pod's volume"),
      }),
    };
  },
};
