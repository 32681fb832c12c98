// What containers of the docker command publish, on this machine's localhost too: `naru up` gives each node a network of its own, and who
// types `docker run -p 8080:80` opens localhost:8080 next. Pure but for the last function.
import type { Socket } from "node:net";
import { http } from "../../lib/node-http.ts";

export interface NodeDoor {
  readonly name: string;
  readonly address: string;
  readonly socketPath: string;
  /** There once somebody has come to the node's Docker API. */
  readonly dockerDir: string;
}

export interface LocalPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp";
  readonly node: string;
  /** Published on the node's loopback alone: the way there leads through the docker socket. */
  readonly loopbackOnly: boolean;
}

/** The ports that answer on a node's own localhost, from the API's list of containers. */
export function localPorts(node: string, containers: unknown): readonly LocalPort[] {
  if (!Array.isArray(containers)) return [];
  const published = containers.flatMap(portsOf);
  return (["tcp", "udp"] as const).flatMap((protocol) => {
    const these = published.filter(({ Type }) => Type === protocol);
    const everywhere = new Set(these.filter(({ IP }) => IP === "0.0.0.0").map(({ PublicPort }) => PublicPort));
    const ports = new Set(these.map(({ PublicPort }) => PublicPort));
    return [...ports].map((port) => ({ port, protocol, node, loopbackOnly: !everywhere.has(port) }));
  });
}

interface ShownPort {
  readonly IP: string;
  readonly PublicPort: number;
  readonly Type: string;
}

function portsOf(container: unknown): readonly ShownPort[] {
  const { Ports } = (container ?? {}) as { readonly Ports?: unknown };
  if (!Array.isArray(Ports)) return [];
  return Ports.filter(
    (port): port is ShownPort =>
      ["0.0.0.0", "127.0.0.1"].includes(port?.IP) &&
      typeof port.PublicPort === "number" &&
      typeof port.Type === "string",
  );
}

/** What one program at a time can listen on, such as "udp 53". */
export function keyOf({ protocol, port }: Pick<LocalPort, "protocol" | "port">): string {
  return `${protocol} ${port}`;
}

export interface LocalPortChanges {
  /** By their keys. */
  readonly close: readonly string[];
  readonly open: readonly LocalPort[];
  /** Ports that another node has already. */
  readonly taken: readonly LocalPort[];
}

/** Of two nodes with the same port the one that has it keeps it, else the first. */
export function planLocalPorts(open: ReadonlyMap<string, LocalPort>, wanted: readonly LocalPort[]): LocalPortChanges {
  const keeps = (one: LocalPort) => {
    const now = open.get(keyOf(one));
    return now?.node === one.node && now.loopbackOnly === one.loopbackOnly;
  };
  const kept = new Set(wanted.filter(keeps).map(keyOf));
  const first = new Map<string, LocalPort>();
  for (const one of wanted.toReversed()) if (!kept.has(keyOf(one))) first.set(keyOf(one), one);
  return {
    close: [...open.keys()].filter((key) => !kept.has(key)),
    open: [...first.values()].toReversed(),
    taken: wanted.filter((one) => (kept.has(keyOf(one)) ? !keeps(one) : first.get(keyOf(one)) !== one)),
  };
}

/** A connection to the port on the node's own loopback, through its docker socket. */
export function dialThroughSocket(door: NodeDoor, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const call = http.request({
      socketPath: door.socketPath,
      method: "POST",
      path: `/naru/dial?port=${port}`,
      headers: { Connection: "Upgrade", Upgrade: "tcp" },
    });
    call.on("upgrade", (_response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket as Socket);
    });
    call.on("response", (response) => {
      response.resume();
      reject(new Error(`${door.name} does not reach its port ${port} (${response.statusCode})`));
    });
    call.on("error", reject);
    call.end();
  });
}
