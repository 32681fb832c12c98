// Who hears whom by which name: what the DNS server of the containers' networks knows.
import { readFileSync } from "node:fs";
import type { Clock } from "../../../lib/clock.ts";
import type { Random } from "../../../lib/random.ts";
import type { Forward } from "../../network/dns-answer.ts";
import { createForward, nameservers } from "../../network/dns-forward.ts";
import { parseLink } from "../containers/links.ts";
import type { ContainerRecord, Endpoint } from "../containers/record.ts";
import { hasNames, type NetworkRecord } from "./record.ts";

export interface NeighboursOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly networks: () => readonly NetworkRecord[];
  readonly containers: () => readonly ContainerRecord[];
}

const forwardsMax = 100;

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #forwards = new Map<string, Forward>();

  constructor(options: NeighboursOptions) {
    this.#options = options;
  }

  /** In a network without a way out only names of containers are known. */
  mayForward(askerIp: string): boolean {
    return this.#neighbours(askerIp).some(({ network }) => !network.internal);
  }

  /** Those who share a network with this address, itself among them. */
  #neighbours(
    askerIp: string,
  ): readonly { readonly network: NetworkRecord; readonly record: ContainerRecord; readonly endpoint: Endpoint }[] {
    const running = this.#running();
    const asker = running.find((record) => hasIp(record, askerIp));
    const ids = new Set(Object.values(asker?.endpoints ?? {}).map(({ networkId }) => networkId));
    const networks = this.#options.networks().filter((network) => ids.has(network.id));
    return networks.flatMap((network) =>
      running.flatMap((record) =>
        Object.values(record.endpoints)
          .filter(({ networkId, live }) => networkId === network.id && live !== undefined)
          .map((endpoint) => ({ network, record, endpoint })),
      ),
    );
  }

  lookUp(name: string, askerIp: string): readonly string[] | undefined {
    const asker = this.#running().find((record) => hasIp(record, askerIp));
    const linked = linkedNames(asker, name);
    const found = this.#neighbours(askerIp).filter(({ network, record, endpoint }) => {
      if (linked.includes(record.name) || linked.some((id) => record.id.startsWith(id))) return true;
      if (!hasNames(network)) return false;
      const names = [record.name, record.config.Hostname, record.id.slice(0, 12), ...endpoint.aliases];
      return names.some(
        (own) => own.toLowerCase() === name || `${own.toLowerCase()}.${network.name.toLowerCase()}` === name,
      );
    });
    return found.length === 0
      ? undefined
      : [
          ...new Set(
            found.flatMap(({ endpoint: { live } }) =>
              live === undefined ? [] : [live.ip, live.ipv6?.ip ?? []].flat(),
            ),
          ),
        ];
  }

  /** To the servers that the asker was made with (--dns), else to the node's. */
  forwardFor(askerIp: string): Forward {
    const asker = this.#running().find((record) => hasIp(record, askerIp));
    const own = asker?.hostConfig.Dns ?? [];
    const key = own.join(" ");
    const known = this.#forwards.get(key);
    if (known !== undefined) return known;
    const upstreams = () => (own.length > 0 ? own : nameservers(readFileSync("/etc/resolv.conf", "utf8")));
    const forward = createForward({ clock: this.#options.clock, random: this.#options.random, upstreams });
    if (this.#forwards.size >= forwardsMax) this.#forwards.clear();
    this.#forwards.set(key, forward);
    return forward;
  }

  #running(): readonly ContainerRecord[] {
    return this.#options.containers().filter(({ phase }) => phase === "running");
  }

  reverse(ip: string, askerIp: string): string | undefined {
    const found = this.#neighbours(askerIp).find(
      ({ endpoint, network }) => endpoint.live?.ip === ip && hasNames(network),
    );
    return found === undefined ? undefined : `${found.record.name}.${found.network.name}`;
  }
}

/** Containers that the asker knows by this name of its own (--link). */
function linkedNames(asker: ContainerRecord | undefined, name: string): readonly string[] {
  if (asker === undefined) return [];
  const links = [
    ...(asker.hostConfig.Links ?? []),
    ...Object.values(asker.endpoints).flatMap(({ links }) => links ?? []),
  ];
  return links.map(parseLink).flatMap(({ container, alias }) => (alias.toLowerCase() === name ? container : []));
}

function hasIp({ endpoints }: ContainerRecord, ip: string): boolean {
  return Object.values(endpoints).some(({ live }) => live?.ip === ip);
}
