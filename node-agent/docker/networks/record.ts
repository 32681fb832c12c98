// A network of the docker door, as it lies on the disk.

/** Addresses of one family. */
export interface Subnet {
  /** "172.17.0.0/16"; "" without addresses. */
  readonly subnet: string;
  readonly gateway: string;
  /** A part of the subnet that addresses are taken from; "" for all of it. */
  readonly ipRange: string;
}

export interface NetworkRecord extends Subnet {
  readonly id: string;
  readonly name: string;
  readonly driver: "bridge" | "host" | "null";
  readonly createdAtMs: number;
  readonly internal: boolean;
  readonly attachable: boolean;
  /** Beside IPv4's; absent: the network has none. */
  readonly ipv6?: Subnet;
  readonly masquerade: boolean;
  readonly mtu: number;
  /** Where ports are published when nothing else is asked for. */
  readonly bindingIp: string;
  /** The link's name on the node. */
  readonly link: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export const predefined: readonly string[] = ["bridge", "host", "none"];

/** Containers on it find each other by name; on the first one, as ever, they don't. */
export function hasNames(network: NetworkRecord): boolean {
  return network.driver === "bridge" && network.name !== "bridge";
}
