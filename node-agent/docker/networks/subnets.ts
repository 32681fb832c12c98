// Ranges of addresses for new networks: those that nobody uses yet. Pure.
import { parseRange, type Range } from "../../network/addresses.ts";
import { DockerProblem } from "../http/problem.ts";

/** In the order they are given out; the first is the default network's. */
function* pools(): Generator<Range> {
  for (let second = 17; second < 32; second++) yield range(`172.${second}.0.0/16`);
  for (let third = 0; third < 256; third += 16) yield range(`192.168.${third}.0/20`);
}

export function freeSubnet(used: readonly Range[]): Range {
  for (const pool of pools()) if (!used.some((other) => overlaps(pool, other))) return pool;
  throw new DockerProblem(500, "all predefined address pools have been fully subnetted: name one with --subnet");
}

export function overlaps(a: Range, b: Range): boolean {
  if (a.family !== b.family) return false;
  const hostBits = BigInt((a.family === 4 ? 32 : 128) - Math.min(a.prefix, b.prefix));
  return a.base >> hostBits === b.base >> hostBits;
}

/** The node's routes but the default one, of /proc/net/route (little-endian hexadecimal). */
export function parseRoutes(text: string): readonly { readonly link: string; readonly range: Range }[] {
  return text
    .trim()
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [link = "", destination = "", , , , , , mask = ""] = line.split("\t");
      const prefix = ones(swapped(mask));
      const base = BigInt(swapped(destination));
      return [{ link, range: { family: 4 as const, base, prefix } }];
    });
}

function swapped(hex: string): number {
  return Buffer.from(hex.padStart(8, "0"), "hex").readUInt32LE();
}

function ones(mask: number): number {
  return mask.toString(2).replaceAll("0", "").length;
}

function range(text: string): Range {
  const parsed = parseRange(text);
  if (parsed === undefined) throw new Error(`${text} is no range`);
  return parsed;
}
