// Which addresses of the containers' networks are given out.
import { type Address, AddressPool, formatRange, parseAddress, parseRange } from "../../network/addresses.ts";
import type { LiveEndpoint } from "../containers/record.ts";
import { DockerProblem } from "../http/problem.ts";
import type { NetworkRecord, Subnet } from "./record.ts";

export class Pools {
  readonly #pools = new Map<string, AddressPool>();
  readonly #liveOf: (network: NetworkRecord) => readonly LiveEndpoint[];

  /** `liveOf`: those that have addresses of a network now. */
  constructor(liveOf: (network: NetworkRecord) => readonly LiveEndpoint[]) {
    this.#liveOf = liveOf;
  }

  /** A free address, or the wanted one ("" leaves the choice). */
  take(network: NetworkRecord, family: 4 | 6, wanted: string): Address {
    const subnet = subnetOf(network, family);
    const pool = this.#poolOf(network, subnet, family);
    if (wanted !== "") {
      const address = parseAddress(wanted);
      const isUsed = [subnet.gateway, ...this.#texts(network, family)].some((text) => same(text, address));
      if (address === undefined || isUsed) throw new DockerProblem(403, `Address already in use: ${wanted}`);
      pool.reserve(address);
      return address;
    }
    const address = pool.take();
    if (address === undefined)
      throw new DockerProblem(
        500,
        `no available IPv${family} addresses on network ${network.name}: all of ${formatRange(pool.range)} are in use`,
      );
    return address;
  }

  free(networkId: string, live: Pick<LiveEndpoint, "ip" | "ipv6">): void {
    for (const [family, text] of [
      [4, live.ip],
      [6, live.ipv6?.ip ?? ""],
    ] as const) {
      const address = parseAddress(text);
      if (address !== undefined) this.#pools.get(keyOf(networkId, family))?.free(address);
    }
  }

  forget(networkId: string): void {
    for (const family of [4, 6] as const) this.#pools.delete(keyOf(networkId, family));
  }

  #poolOf(network: NetworkRecord, subnet: Subnet, family: 4 | 6): AddressPool {
    const key = keyOf(network.id, family);
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const range = parseRange(subnet.ipRange === "" ? subnet.subnet : subnet.ipRange);
    if (range === undefined) throw new Error(`network ${network.name} has no addresses`);
    const pool = new AddressPool(range);
    for (const text of [subnet.gateway, ...this.#texts(network, family)]) {
      const address = parseAddress(text);
      if (address !== undefined) pool.reserve(address);
    }
    this.#pools.set(key, pool);
    return pool;
  }

  #texts(network: NetworkRecord, family: 4 | 6): readonly string[] {
    return this.#liveOf(network).flatMap(({ ip, ipv6 }) => (family === 4 ? ip : (ipv6?.ip ?? [])));
  }
}

function subnetOf(network: NetworkRecord, family: 4 | 6): Subnet {
  if (family === 4) return network;
  if (network.ipv6 === undefined) throw new Error(`network ${network.name} has no IPv6 addresses`);
  return network.ipv6;
}

function keyOf(networkId: string, family: 4 | 6): string {
  return `${networkId}/${family}`;
}

function same(text: string, address: Address | undefined): boolean {
  const other = parseAddress(text);
  return other !== undefined && other.family === address?.family && other.value === address.value;
}
