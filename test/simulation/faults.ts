// What goes wrong in a run, and when: drawn from the seed before it begins, as data.
import { below, fraction, type Random } from "../../lib/random.ts";

export type Component = "controllers" | "scheduler" | "sessions";

export type Fault =
  /** The machine goes down with everything on it; nobody is told. */
  | { readonly type: "node-crash"; readonly node: string; readonly downMs: number }
  /** kill -9 of the agent: its containers go on. */
  | { readonly type: "agent-crash"; readonly node: string; readonly downMs: number }
  /** A planned restart, which the agent announces. */
  | { readonly type: "agent-restart"; readonly node: string; readonly downMs: number }
  | { readonly type: "container-crash"; readonly node: string }
  /** Its kernel refuses and its registry is down, now and then. */
  | { readonly type: "bad-machine"; readonly node: string; readonly forMs: number; readonly failing: number }
  | { readonly type: "partition"; readonly nodes: readonly string[]; readonly forMs: number; readonly cut: Cut }
  | {
      readonly type: "bad-network";
      readonly nodes: readonly string[];
      readonly forMs: number;
      readonly weather: Weather;
    }
  | { readonly type: "server-crash"; readonly downMs: number }
  | { readonly type: "server-restart"; readonly downMs: number }
  | { readonly type: "component-crash"; readonly component: Component; readonly downMs: number }
  | { readonly type: "slow-store"; readonly forMs: number; readonly delayMsMax: number }
  | { readonly type: "failing-store"; readonly forMs: number; readonly failing: number };

/** Which messages are lost in a partition. */
export type Cut = "both" | "up" | "down";

export interface Weather {
  /** Shares of messages. */
  readonly lost: number;
  readonly doubled: number;
  readonly overtaking: number;
  readonly delayMsMax: number;
}

export const fairWeather: Weather = { lost: 0, doubled: 0, overtaking: 0, delayMsMax: 1 };

export interface ScheduledFault {
  readonly atMs: number;
  readonly fault: Fault;
}

export interface FaultOptions {
  readonly nodes: readonly string[];
  readonly durationMs: number;
  /** Mean time from one fault to the next. */
  readonly everyMs: number;
}

/** In the order of their times; every fault is over `durationMs` after the start. */
export function planFaults(random: Random, options: FaultOptions): readonly ScheduledFault[] {
  const planned: ScheduledFault[] = [];
  let atMs = 0;
  for (;;) {
    atMs += fraction(random) * 2 * options.everyMs;
    if (atMs >= options.durationMs) return planned;
    planned.push({ atMs, fault: draw(random, options.nodes, options.durationMs - atMs) });
  }
}

function draw(random: Random, nodes: readonly string[], leftMs: number): Fault {
  const upTo = (maxMs: number) => Math.ceil(Math.min(leftMs, fraction(random) ** 2 * maxMs));
  const node = pick(random, nodes);
  const some = () => {
    const share = 0.05 + fraction(random) * 0.4;
    return fraction(random) < 0.2 ? nodes : nodes.filter(() => fraction(random) < share);
  };
  switch (below(random, 15)) {
    case 0:
    case 1:
    case 2:
      return { type: "node-crash", node, downMs: upTo(15_000) };
    case 3:
    case 4:
      return { type: "agent-crash", node, downMs: upTo(8_000) };
    case 5:
      return { type: "agent-restart", node, downMs: upTo(4_000) };
    case 6:
      return { type: "container-crash", node };
    case 7:
      return { type: "partition", nodes: [node], forMs: upTo(20_000), cut: pick(random, cuts) };
    case 8:
      return { type: "partition", nodes: some(), forMs: upTo(10_000), cut: pick(random, cuts) };
    case 9:
      return { type: "bad-network", nodes: some(), forMs: upTo(10_000), weather: drawWeather(random) };
    case 10:
      return { type: fraction(random) < 0.7 ? "server-crash" : "server-restart", downMs: upTo(4_000) };
    case 11:
      return { type: "component-crash", component: pick(random, components), downMs: upTo(3_000) };
    case 12:
      return { type: "slow-store", forMs: upTo(10_000), delayMsMax: 1 + fraction(random) ** 2 * 2_000 };
    case 13:
      return { type: "bad-machine", node, forMs: upTo(8_000), failing: fraction(random) };
    default:
      return { type: "failing-store", forMs: upTo(5_000), failing: fraction(random) };
  }
}

const cuts: readonly Cut[] = ["both", "both", "up", "down"];
const components: readonly Component[] = ["controllers", "scheduler", "sessions"];

function drawWeather(random: Random): Weather {
  return {
    lost: fraction(random) ** 2 * 0.3,
    doubled: fraction(random) ** 2 * 0.3,
    overtaking: fraction(random) ** 2 * 0.5,
    delayMsMax: 1 + fraction(random) ** 2 * 500,
  };
}

export function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[below(random, values.length)];
  if (value === undefined) throw new Error("bug: nothing to pick from");
  return value;
}
