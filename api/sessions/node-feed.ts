// What one node has been sent and what it still lacks. It remembers keys, never objects, so that a slow or absent agent costs little:
// whatever happened meanwhile, it is sent the present once it listens. Pure.
import { create } from "@bufbuild/protobuf";
import { type Assignment, AssignmentSchema } from "../../proto/generated/node_pb.ts";
import type { KubeObject } from "../kinds/resource.ts";
import { type ItemKey, splitItemKey } from "./desired.ts";
import { encodeForNodes } from "./projection.ts";

export interface FeedLimits {
  /** Of objects in one part of an assignment; a single object may be larger. */
  readonly partBytesMax: number;
  /** Keys to be sent or resumed from; beyond it the whole state is sent anew. */
  readonly keysMax: number;
  /** Generations sent and not yet applied; beyond it changes wait. */
  readonly inFlightMax: number;
}

export const defaultFeedLimits: FeedLimits = { partBytesMax: 512 * 1024, keysMax: 20_000, inFlightMax: 16 };

/** Reads the present when a part is made. */
export interface FeedSource {
  wanted(item: ItemKey): KubeObject | undefined;
  all(): readonly ItemKey[];
}

interface Batch {
  readonly items: readonly ItemKey[];
  readonly full: boolean;
  readonly base: bigint;
  readonly generation: bigint;
  next: number;
  part: number;
}

export class NodeFeed {
  readonly #limits: FeedLimits;
  /** Changed since it was last taken up into a batch. */
  #dirty = new Set<ItemKey>();
  #needsFull = true;
  #batch: Batch | undefined;
  #generation = 0n;
  /** Sent whole and not known to be applied: an agent may come back with any of these or the one before. */
  #unapplied: { readonly generation: bigint; readonly items: readonly ItemKey[] }[] = [];
  /** The oldest generation from which an agent can resume. */
  #resumableFrom = 0n;

  constructor(limits: FeedLimits = defaultFeedLimits) {
    this.#limits = limits;
  }

  /** Of the last assignment that was sent whole. */
  get generation(): bigint {
    return this.#generation;
  }

  get hasWork(): boolean {
    return this.#needsFull || this.#dirty.size > 0 || this.#batch !== undefined;
  }

  /** True when there was nothing to send before. */
  mark(item: ItemKey): boolean {
    if (this.#needsFull) return false;
    const first = this.#dirty.size === 0;
    this.#dirty.add(item);
    if (this.#dirty.size > this.#limits.keysMax) this.#startAnew();
    return first;
  }

  /** A new session, whose agent has applied `agentGeneration` of this server's epoch (undefined: of another one, or nothing). */
  begin(agentGeneration: bigint | undefined): "resumed" | "full" {
    this.#abandonBatch();
    const canResume =
      !this.#needsFull &&
      agentGeneration !== undefined &&
      agentGeneration >= this.#resumableFrom &&
      agentGeneration <= this.#generation;
    if (!canResume) {
      // An agent ignores what is not newer than what it has.
      if (agentGeneration !== undefined && agentGeneration > this.#generation) this.#generation = agentGeneration;
      this.#startAnew();
      return "full";
    }
    for (const { generation, items } of this.#unapplied) {
      if (generation > agentGeneration) for (const item of items) this.#dirty.add(item);
    }
    this.#unapplied = [];
    this.#generation = agentGeneration;
    this.#resumableFrom = agentGeneration;
    return "resumed";
  }

  applied(generation: bigint): void {
    if (generation > this.#generation) return; // never sent
    this.#unapplied = this.#unapplied.filter((sent) => sent.generation > generation);
    if (generation > this.#resumableFrom) this.#resumableFrom = generation;
  }

  /** The next part to send, or undefined when all is said or the agent has enough to do. */
  nextPart(source: FeedSource): Assignment | undefined {
    this.#batch ??= this.#openBatch(source);
    const batch = this.#batch;
    if (batch === undefined) return undefined;
    const assignment = create(AssignmentSchema, {
      generation: batch.generation,
      baseGeneration: batch.base,
      full: batch.full,
      part: batch.part++,
    });
    for (let bytes = 0; batch.next < batch.items.length && bytes < this.#limits.partBytesMax; batch.next++) {
      bytes += addItem(assignment, batch.items[batch.next] ?? "", source);
    }
    assignment.more = batch.next < batch.items.length;
    if (!assignment.more) this.#closeBatch(batch);
    return assignment;
  }

  #openBatch(source: FeedSource): Batch | undefined {
    if (!this.#needsFull && (this.#dirty.size === 0 || this.#unapplied.length >= this.#limits.inFlightMax)) {
      return undefined;
    }
    const full = this.#needsFull;
    const items = full ? source.all() : [...this.#dirty].toSorted(podsLast);
    this.#dirty = new Set();
    this.#needsFull = false;
    return { items, full, base: this.#generation, generation: this.#generation + 1n, next: 0, part: 0 };
  }

  #closeBatch(batch: Batch): void {
    this.#batch = undefined;
    this.#generation = batch.generation;
    if (batch.full) {
      this.#unapplied = [{ generation: batch.generation, items: [] }];
      this.#resumableFrom = batch.generation;
      return;
    }
    this.#unapplied.push({ generation: batch.generation, items: batch.items });
  }

  #abandonBatch(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    if (batch.full) this.#startAnew();
    else for (const item of batch.items) this.#dirty.add(item);
  }

  #startAnew(): void {
    this.#needsFull = true;
    this.#dirty = new Set();
    this.#unapplied = [];
  }
}

/** Returns how many bytes it added. */
function addItem(assignment: Assignment, item: ItemKey, source: FeedSource): number {
  const { resource, key } = splitItemKey(item);
  const object = source.wanted(item);
  if (object === undefined) {
    // A full state says so by silence.
    if (!assignment.full) assignment.remove.push({ $typeName: "naru.node.v1.ObjectKey", resource, key });
    return item.length;
  }
  const json = encodeForNodes(resource, object);
  assignment.put.push({ $typeName: "naru.node.v1.Object", resource, key, json });
  return json.length + item.length;
}

function podsLast(a: ItemKey, b: ItemKey): number {
  return Number(a.startsWith("pods/")) - Number(b.startsWith("pods/"));
}
