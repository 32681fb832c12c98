// By which values the watch cache finds objects without looking at all of them.
import type { IndexFunctions } from "../cache/watch-cache.ts";
import type { Pod, Service } from "../kinds/generated/types.ts";
import type { KubeObject, Resource } from "../kinds/resource.ts";
import { qualified } from "./refusals.ts";

/** An index named like a selectable field serves field selectors on it. */
export const indexFunctions: IndexFunctions = {
  pods: { "spec.nodeName": (object: KubeObject) => some((object as Pod).spec?.nodeName) },
  services: {
    clusterIp: (object: KubeObject) =>
      (object as Service).spec?.clusterIPs ?? some((object as Service).spec?.clusterIP),
    nodePort: (object: KubeObject) => {
      const { healthCheckNodePort, ports = [] } = (object as Service).spec ?? {};
      const all = [healthCheckNodePort, ...ports.map(({ nodePort }) => nodePort)];
      return all.flatMap((port) => (port === undefined ? [] : [String(port)]));
    },
  },
};

export function indexNames(resource: Pick<Resource, "group" | "resource">): readonly string[] {
  return Object.keys(indexFunctions[qualified(resource)] ?? {});
}

function some(value: string | undefined): readonly string[] {
  return value === undefined || value === "" ? [] : [value];
}
