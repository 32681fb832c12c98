// Chance as an argument: the machine's in main files, seeded in tests and in the simulator.
import { randomFillSync } from "node:crypto";

export interface Random {
  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number;
}

/** Unpredictable numbers from the kernel, drawn in blocks. */
export function realRandom(): Random {
  const block = new Uint32Array(256);
  let next = block.length;
  return {
    uint32: () => {
      if (next === block.length) {
        randomFillSync(block);
        next = 0;
      }
      return block[next++] ?? 0;
    },
  };
}

/** The same sequence for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    uint32: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return (t ^ (t >>> 14)) >>> 0;
    },
  };
}

/** A number in [0, 1). */
export function fraction(random: Random): number {
  return random.uint32() / 0x1_0000_0000;
}

/** A whole number in [0, below). */
export function below(random: Random, limit: number): number {
  return Math.floor(fraction(random) * limit);
}

/** An RFC 9562 version 4 UUID. */
export function uuid(random: Random): string {
  const bytes = new Uint8Array(16);
  const words = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i++) words.setUint32(i * 4, random.uint32());
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// No vowels and no look-alikes, so that names neither spell words nor get misread (Kubernetes' alphabet).
const nameAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** Letters and digits for generated names, such as "x7k2p". */
export function nameSuffix(random: Random, length = 5): string {
  let suffix = "";
  for (let i = 0; i < length; i++) suffix += nameAlphabet[below(random, nameAlphabet.length)];
  return suffix;
}
