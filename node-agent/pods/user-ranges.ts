// Which users of the host a pod's own users are (hostUsers: false): a range of 65536 that no other pod of the node has. Pure.
import { createHash } from "node:crypto";
import type { IdMapping } from "../runtime/runtime.ts";

const size = 65_536;
/** The first range is the host's own users. */
const rangesMax = 65_534;

/** A range that is free; the search begins elsewhere on each node (`seed`), as nodes may share a machine. Undefined: none is left. */
export function freeRange(used: ReadonlySet<number>, seed: string): IdMapping | undefined {
  const first = createHash("sha256").update(seed).digest().readUInt32LE(0) % rangesMax;
  for (let i = 0; i < rangesMax && used.size < rangesMax; i++) {
    const hostId = (((first + i) % rangesMax) + 1) * size;
    if (!used.has(hostId)) return { hostId, size };
  }
  return undefined;
}

/** What a pod's folder says; undefined for what nobody wrote. */
export function parseRange(text: string): IdMapping | undefined {
  const hostId = Number(text.trim());
  return Number.isInteger(hostId) && hostId > 0 && hostId % size === 0 ? { hostId, size } : undefined;
}
