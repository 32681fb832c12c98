// Two pods of a node cannot hold the same host port.
import type { Filter } from "../plugin.ts";

export const hostPorts: Filter = {
  name: "HostPorts",
  looksAt: "use",
  prepare: (pod, snapshot) => {
    if (pod.hostPorts.length === 0) return undefined;
    const taken = (slot: number) => {
      const held = snapshot.hostPorts[slot];
      if (held === undefined || held.size === 0) return undefined;
      return pod.hostPorts.find((port) => [...held.keys()].some((other) => collide(port, other)));
    };
    return {
      fits: (slot) => taken(slot) === undefined,
      refuse: (slot) => {
        const port = taken(slot)?.split("/").at(-1) ?? "";
        return { group: `port ${port}`, say: (nodes) => `${nodes === 1 ? "has" : "have"} host port ${port} in use` };
      },
    };
  },
};

function collide(a: string, b: string): boolean {
  const [ipA, protocolA, portA] = a.split("/");
  const [ipB, protocolB, portB] = b.split("/");
  return protocolA === protocolB && portA === portB && (ipA === ipB || ipA === "0.0.0.0" || ipB === "0.0.0.0");
}
