// Service addresses and node ports: free ones come from the Services that exist, and a guard key makes a double allocation impossible.
import { isIPv4 } from "node:net";
import { below, type Random } from "../../lib/random.ts";
import type { WatchCache } from "../cache/watch-cache.ts";
import { services } from "../kinds/generated/resources.ts";
import type { Allocate, Place } from "../kinds/kind.ts";
import { ApiError } from "../kinds/status.ts";
import type { Store } from "../store/store.ts";

export interface AllocationRanges {
  /** 10.96.0.0/16: two bytes are free. */
  readonly clusterIpPrefix: string;
  readonly nodePortFirst: number;
  readonly nodePortLast: number;
}

const defaultRanges: AllocationRanges = { clusterIpPrefix: "10.96", nodePortFirst: 30000, nodePortLast: 32767 };

/** Addresses of the range that have an owner from the start: the API and DNS. */
const reservedHosts = [1, 10];
const guardKey = "/naru/allocations/services";
const triesMax = 64;

/** What one write has allocated, and the guard to commit it with. */
export interface Allocation extends Allocate {
  /** undefined when nothing was allocated. */
  guard(): { readonly key: string; readonly modRevision: number } | undefined;
}

/**
 * Every write that takes an address also writes the guard key, compared with the revision seen before looking at the Services. Two writes
 * that could take the same address thus never both commit, on one server or on several, and there is no second record that could
 * disagree with the Services after a crash.
 */
export class AddressAllocator {
  readonly #store: Store;
  readonly #cache: WatchCache;
  readonly #random: Random;
  readonly #ranges: AllocationRanges;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly store: Store;
    readonly cache: WatchCache;
    readonly random: Random;
    readonly ranges?: AllocationRanges;
  }) {
    this.#store = options.store;
    this.#cache = options.cache;
    this.#random = options.random;
    this.#ranges = options.ranges ?? defaultRanges;
  }

  /** Runs `write` alone among this server's allocating writes, so that they do not fail one another's guard. */
  exclusively<T>(write: () => Promise<T>): Promise<T> {
    const run = this.#last.then(write, write);
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** A view of what is free now, for one try of one write. */
  async open(): Promise<Allocation> {
    const { items } = await this.#store.range({ start: guardKey, end: `${guardKey}\0` });
    const modRevision = items[0]?.modRevision ?? 0;
    await this.#cache.waitUntil(modRevision);
    const taken = new Set<string>();
    const take = (value: string) => {
      taken.add(value);
      return value;
    };
    return {
      clusterIp: (wanted, place) =>
        take(wanted === undefined || wanted === "" ? this.#anyIp(taken) : this.#thisIp(wanted, place, taken)),
      nodePort: (wanted, place) =>
        Number(
          take(wanted === undefined || wanted === 0 ? this.#anyPort(taken) : this.#thisPort(wanted, place, taken)),
        ),
      guard: () => (taken.size === 0 ? undefined : { key: guardKey, modRevision }),
    };
  }

  #anyIp(taken: ReadonlySet<string>): string {
    const ipAt = (host: number) => `${this.#ranges.clusterIpPrefix}.${host >> 8}.${host & 255}`;
    const host = this.#anyFree(
      2,
      65534,
      (n) => !reservedHosts.includes(n) && this.#isFree("clusterIp", ipAt(n), taken),
    );
    if (host === undefined) throw new ApiError("InternalError", `no cluster IP is free in ${this.#rangeText()}`);
    return ipAt(host);
  }

  #thisIp(wanted: string, place: Place, taken: ReadonlySet<string>): string {
    if (!isIPv4(wanted) || !wanted.startsWith(`${this.#ranges.clusterIpPrefix}.`)) {
      throw refused(place, wanted, `the provided IP is not in the valid range, which is ${this.#rangeText()}`);
    }
    if (!this.#isFree("clusterIp", wanted, taken)) throw refused(place, wanted, "provided IP is already allocated");
    return wanted;
  }

  #anyPort(taken: ReadonlySet<string>): string {
    const { nodePortFirst, nodePortLast } = this.#ranges;
    const port = this.#anyFree(nodePortFirst, nodePortLast, (n) => this.#isFree("nodePort", String(n), taken));
    if (port === undefined)
      throw new ApiError("InternalError", `no node port is free in ${nodePortFirst}-${nodePortLast}`);
    return String(port);
  }

  #thisPort(wanted: number, place: Place, taken: ReadonlySet<string>): string {
    const { nodePortFirst, nodePortLast } = this.#ranges;
    if (wanted < nodePortFirst || wanted > nodePortLast) {
      const range = `provided port is not in the valid range. The range of valid ports is ${nodePortFirst}-${nodePortLast}`;
      throw refused(place, wanted, range);
    }
    const text = String(wanted);
    if (!this.#isFree("nodePort", text, taken)) throw refused(place, wanted, "provided port is already allocated");
    return text;
  }

  /** Chance first, then the next free one after it. */
  #anyFree(first: number, last: number, isFree: (n: number) => boolean): number | undefined {
    const size = last - first + 1;
    const at = (n: number) => first + (n % size);
    let start = 0;
    for (let i = 0; i < triesMax; i++) {
      start = below(this.#random, size);
      if (isFree(at(start))) return at(start);
    }
    for (let i = 0; i < size; i++) if (isFree(at(start + i))) return at(start + i);
    return undefined;
  }

  #isFree(index: "clusterIp" | "nodePort", value: string, taken: ReadonlySet<string>): boolean {
    return !taken.has(value) && this.#cache.list(services, { index: { name: index, value } }).items.length === 0;
  }

  #rangeText(): string {
    return `${this.#ranges.clusterIpPrefix}.0.0/16`;
  }
}

function refused({ name, field }: Place, value: string | number, detail: string): ApiError {
  const message = `Invalid value: ${JSON.stringify(value)}: ${detail}`;
  return new ApiError("Invalid", `Service ${JSON.stringify(name)} is invalid: ${field}: ${message}`, {
    details: { name, kind: "Service", causes: [{ reason: "FieldValueInvalid", message, field }] },
  });
}
