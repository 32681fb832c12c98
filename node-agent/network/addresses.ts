// IP addresses and ranges as numbers: parsing, printing, and the pool that pods' addresses come from.
import { isIPv4, isIPv6 } from "node:net";

export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface Range {
  readonly family: 4 | 6;
  /** First address. */
  readonly base: bigint;
  readonly prefix: number;
}

/** Undefined when it is neither an IPv4 nor a plain IPv6 address. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: 4, value: text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n) };
  if (!isIPv6(text) || text.includes("%")) return undefined;
  return { family: 6, value: parseIpv6(text) };
}

/** "10.0.0.1", or IPv6 as RFC 5952 writes it. */
export function formatAddress(address: Address): string {
  const { family, value } = address;
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const zeros = longestZeros(groups);
  if (zeros.length < 2) return groups.join(":");
  return `${groups.slice(0, zeros.start).join(":")}::${groups.slice(zeros.start + zeros.length).join(":")}`;
}

/** The same address in its one spelling; undefined when it is none. */
export function canonicalAddress(text: string): string | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}

/** 4 or 16 bytes, in network order. */
export function addressBytes(address: Address): Buffer {
  const digits = address.family === 4 ? 8 : 32;
  return Buffer.from(address.value.toString(16).padStart(digits, "0"), "hex");
}

export function addressFromBytes(bytes: Uint8Array): Address {
  return { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${Buffer.from(bytes).toString("hex")}`) };
}

/** Undefined when it is not an address, a slash and a prefix's length. Bits behind the prefix are dropped. */
export function parseRange(text: string): Range | undefined {
  const [addressText = "", prefixText = "", ...rest] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || rest.length > 0 || !/^\d{1,3}$/.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  const bits = bitsOf(address.family);
  if (prefix > bits) return undefined;
  const hostBits = BigInt(bits - prefix);
  return { family: address.family, base: (address.value >> hostBits) << hostBits, prefix };
}

export function formatRange(range: Range): string {
  return `${formatAddress({ family: range.family, value: range.base })}/${range.prefix}`;
}

export function contains(range: Range, address: Address): boolean {
  const hostBits = BigInt(bitsOf(range.family) - range.prefix);
  return range.family === address.family && address.value >> hostBits === range.base >> hostBits;
}

/** Texts of those of the family that no other one covers, each once, as nft wants them in one set. */
export function outerRanges(ranges: readonly Range[], family: 4 | 6): readonly string[] {
  const own = ranges.filter((range) => range.family === family);
  const covers = (outer: Range, inner: Range) =>
    outer.prefix < inner.prefix && contains(outer, { family, value: inner.base });
  const outermost = own.filter((inner) => !own.some((outer) => covers(outer, inner)));
  return [...new Set(outermost.map(formatRange))].sort();
}

/** The range's address number `index`: 0 is its base. */
export function nthAddress(range: Range, index: number): Address {
  return { family: range.family, value: range.base + BigInt(index) };
}

/** A stable MAC address for what owns this IP address: when the address moves to another link, neighbours' entries stay true. */
export function macOf(address: Address, first = 0x0a, second = 0x58): Buffer {
  const tail = addressBytes(address).subarray(-4);
  return Buffer.concat([Buffer.from([first, second]), tail]);
}

/** Gives out a range's addresses in turn, so that one that was freed rests as long as it can. Base, first (the node's) and IPv4's last stay out. */
export class AddressPool {
  readonly range: Range;
  readonly #used = new Set<bigint>();
  readonly #last: bigint;
  #next = 2n;

  constructor(range: Range) {
    this.range = range;
    const size = 1n << BigInt(bitsOf(range.family) - range.prefix);
    this.#last = range.family === 4 ? size - 2n : size - 1n;
  }

  get usedCount(): number {
    return this.#used.size;
  }

  /** Marks an address that is in use already; silent when it lies outside. */
  reserve(address: Address): void {
    if (contains(this.range, address)) this.#used.add(address.value - this.range.base);
  }

  /** A free address; undefined when there is none. */
  take(): Address | undefined {
    if (BigInt(this.#used.size) >= this.#last - 1n) return undefined;
    for (let tries = 0; tries <= this.#used.size + 2; tries++) {
      if (this.#next > this.#last) this.#next = 2n;
      const offset = this.#next++;
      if (this.#used.has(offset)) continue;
      this.#used.add(offset);
      return { family: this.range.family, value: this.range.base + offset };
    }
    return undefined;
  }

  free(address: Address): void {
    if (contains(this.range, address)) this.#used.delete(address.value - this.range.base);
  }
}

function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

function parseIpv6(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const plain = dotted === null ? text : `${dotted[1]}${dottedGroups(dotted[2] ?? "")}`;
  const [head = "", tail] = plain.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = Array.from({ length: tail === undefined ? 0 : 8 - before.length - after.length }, () => "0");
  return [...before, ...middle, ...after].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function dottedGroups(text: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function longestZeros(groups: readonly string[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}
