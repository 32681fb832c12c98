// What a node answers when it is asked what it uses: the agent writes it, the API reads it.

export interface ContainerUsage {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly cpuNanoCores: number;
  readonly memoryBytes: number;
}

export interface NodeUsage {
  /** The moment over which CPU was measured. */
  readonly windowSeconds: number;
  readonly cpuNanoCores: number;
  readonly memoryBytes: number;
  readonly containers: readonly ContainerUsage[];
}

/** Throws TypeError for what is none. */
export function parseNodeUsage(text: string): NodeUsage {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || !Array.isArray(value["containers"])) throw new TypeError("no usage of a node");
  const number = (of: Readonly<Record<string, unknown>>, name: string) => {
    const found = of[name];
    if (typeof found !== "number" || !(found >= 0)) throw new TypeError(`${name} is no amount`);
    return found;
  };
  return {
    windowSeconds: number(value, "windowSeconds"),
    cpuNanoCores: number(value, "cpuNanoCores"),
    memoryBytes: number(value, "memoryBytes"),
    containers: value["containers"].filter(isRecord).map((one) => ({
      namespace: String(one["namespace"]),
      pod: String(one["pod"]),
      container: String(one["container"]),
      cpuNanoCores: number(one, "cpuNanoCores"),
      memoryBytes: number(one, "memoryBytes"),
    })),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
