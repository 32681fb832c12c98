// Pods whose RuntimeClass names a handler go where nodes have it.
import { builtInHandlers } from "../../api/kinds/runtime-class.ts";
import type { Filter } from "../plugin.ts";

export const runtimeHandler: Filter = {
  name: "RuntimeHandler",
  looksAt: "description",
  prepare: ({ runtimeHandler: wanted }, snapshot) => {
    if (wanted === undefined || builtInHandlers.includes(wanted)) return undefined;
    return {
      fits: (slot) => snapshot.runtimeHandlers[slot]?.includes(wanted) === true,
      refuse: () => ({
        group: `handler ${wanted}`,
        say: (nodes) => `${nodes === 1 ? "lacks" : "lack"} the runtime handler ${wanted}`,
      }),
    };
  },
};
