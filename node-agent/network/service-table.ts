// Keeps the node's nft table in step with the rule book: differences while all goes well, the whole table after anything else.
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { ClusterIndex } from "./cluster-index.ts";
import type { PodPortsIndex } from "./host-ports.ts";
import { runNft } from "./nft.ts";
import { affinityMap, affinityText, changeText, type TableOptions, tableText } from "./nft-text.ts";
import { RuleBook } from "./rule-book.ts";
import { lostUdpEndpoints, type UdpEndpoint } from "./service-rules.ts";

export interface ServiceTableOptions {
  readonly nft: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** These serve no longer what they served; called after the kernel knows. */
  readonly onUdpLost: (endpoints: readonly UdpEndpoint[]) => Promise<void>;
  readonly onApplied: (applied: AppliedRules) => void;
}

export interface AppliedRules {
  readonly kind: "difference" | "whole";
  readonly durationMs: number;
  /** Elements added and removed; with the whole table, all. */
  readonly elements: number;
}

export class ServiceTable {
  readonly #options: ServiceTableOptions;
  readonly #book: RuleBook;
  #table: TableOptions;
  /** Chains that the kernel has; undefined while what it has is not known. */
  #chains: Set<string> | undefined;

  constructor(options: ServiceTableOptions, table: TableOptions, nodeName: string) {
    this.#options = options;
    this.#table = table;
    this.#book = new RuleBook(nodeName);
  }

  /** The fixed part changed: the next `apply` loads everything. */
  reconfigure(table: TableOptions): void {
    if (JSON.stringify(table, bigints) === JSON.stringify(this.#table, bigints)) return;
    this.#table = table;
    this.#chains = undefined;
  }

  /** Where the node is, as its label says. */
  setZone(zone: string): void {
    this.#book.setZone(zone);
  }

  /** Rejects when nft refused; then the next call loads the whole table. */
  async apply(index: ClusterIndex, podPorts: PodPortsIndex): Promise<void> {
    const change = this.#book.update(index, podPorts);
    if (this.#chains === undefined) return this.#load();
    const elements = change.add.length + change.remove.length;
    if (elements === 0) return;
    const chains = new Set(this.#chains);
    const text = changeText(this.#table.table, change, chains);
    try {
      await this.#run("difference", text, elements);
      this.#chains = chains;
    } catch (error) {
      this.#options.log.warn({ error }, "nft refused a change; loading the whole table");
      this.#chains = undefined;
      await this.#load();
    }
    const lost = lostUdpEndpoints(change);
    if (lost.length > 0) await this.#options.onUdpLost(lost);
  }

  /** Loads the fixed part unless a table of this name is there. */
  async applyIfAbsent(): Promise<void> {
    const { table } = this.#table;
    const isThere = await runNft(this.#options.nft, `list chain inet ${table} services\n`).then(
      () => true,
      () => false,
    );
    if (!isThere) await this.#load();
  }

  async #load(): Promise<void> {
    const elements = this.#book.elements();
    const { text, chains } = tableText(this.#table, elements);
    const affinity = await this.#affinity();
    try {
      await this.#run("whole", text + affinity, elements.length);
    } catch (error) {
      if (affinity === "") throw error;
      this.#options.log.warn({ error }, "clients cannot keep their endpoints");
      await this.#run("whole", text, elements.length);
    }
    this.#chains = chains;
  }

  // Who had which endpoint is known to the kernel alone, and goes with the table.
  async #affinity(): Promise<string> {
    const { table } = this.#table;
    const texts = ([4, 6] as const).map(async (family) => {
      const listing = await runNft(this.#options.nft, `list map inet ${table} ${affinityMap(family)}\n`).catch(
        () => "",
      );
      return affinityText(table, family, listing);
    });
    return (await Promise.all(texts)).join("");
  }

  async #run(kind: AppliedRules["kind"], text: string, elements: number): Promise<void> {
    const start = this.#options.clock.monotonicMs();
    await runNft(this.#options.nft, text);
    this.#options.onApplied({ kind, elements, durationMs: this.#options.clock.monotonicMs() - start });
  }
}

/** Silent when there is none. */
export async function removeTable(nft: string, table: string): Promise<void> {
  await runNft(nft, `add table inet ${table}\ndelete table inet ${table}\n`);
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
