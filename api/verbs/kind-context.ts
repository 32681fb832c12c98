// What a kind gets while it prepares an object: the time, and for Services the free addresses.
import { assert } from "../../lib/assert.ts";
import type { Allocation } from "../allocation/allocator.ts";
import type { Kind, KindContext } from "../kinds/kind.ts";
import type { Context } from "./context.ts";

export function kindContext(nowMs: number, allocation: Allocation | undefined): KindContext {
  return { nowMs, allocate: allocation ?? nothingToAllocate };
}

/** Runs one try of a write; those that may take addresses run one after the other. */
export function withAllocation<T>(
  context: Context,
  kind: Kind,
  run: (allocation: Allocation | undefined) => Promise<T>,
): Promise<T> {
  if (kind.resource.group !== "" || kind.resource.resource !== "services") return run(undefined);
  return context.allocator.exclusively(async () => run(await context.allocator.open()));
}

const nothingToAllocate: KindContext["allocate"] = {
  clusterIp: () => refuse(),
  nodePort: () => refuse(),
};

function refuse(): never {
  assert(false, "only Services allocate addresses");
}
