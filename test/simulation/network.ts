// The simulated network between agents and server: what becomes of each message, by the faults that are on at that moment.
import type { Fate } from "../../api/sessions/memory-transport.ts";
import { fraction, type Random } from "../../lib/random.ts";
import { type Cut, fairWeather, type Weather } from "./faults.ts";

export interface Network {
  fate(node: string, direction: "up" | "down"): Fate;
  /** Both return what ends it. */
  cut(nodes: readonly string[], cut: Cut): () => void;
  worsen(nodes: readonly string[], weather: Weather): () => void;
}

interface Conditions {
  readonly cuts: Set<Cut>[];
  readonly weathers: Weather[];
}

const lost: Fate = { copies: 0, delayMs: 0 };

export function openNetwork(random: Random): Network {
  const conditions = new Map<string, Conditions>();
  const add = <T>(nodes: readonly string[], list: (conditions: Conditions) => T[], value: T) => {
    for (const node of nodes) {
      const known = conditions.get(node) ?? { cuts: [], weathers: [] };
      conditions.set(node, known);
      list(known).push(value);
    }
    return () => {
      for (const node of nodes) {
        const known = conditions.get(node);
        if (known === undefined) continue;
        list(known).splice(list(known).indexOf(value), 1);
        if (known.cuts.length + known.weathers.length === 0) conditions.delete(node);
      }
    };
  };
  return {
    fate: (node, direction) => {
      const { cuts, weathers } = conditions.get(node) ?? fair;
      if (cuts.some((cut) => cut.has("both") || cut.has(direction))) return lost;
      const weather = weathers.at(-1) ?? fairWeather;
      const delayMs = fraction(random) * weather.delayMsMax;
      if (weather === fairWeather) return { copies: 1, delayMs };
      if (fraction(random) < weather.lost) return lost;
      const copies = fraction(random) < weather.doubled ? 2 : 1;
      return { copies, delayMs, overtakes: fraction(random) < weather.overtaking };
    },
    // A set of its own per fault, so that ending one never ends an equal one.
    cut: (nodes, cut) => add(nodes, ({ cuts }) => cuts, new Set([cut])),
    worsen: (nodes, weather) => add(nodes, ({ weathers }) => weathers, weather),
  };
}

const fair: Conditions = { cuts: [], weathers: [] };
