// A UDP port of this machine's localhost, passed on to a node: one socket to the node for each client, so that answers find their way back.
import { createSocket, type Socket } from "node:dgram";
import type { Clock, Timer } from "../../lib/clock.ts";

export interface UdpRelayOptions {
  readonly port: number;
  /** Where it goes: the same port of this address. */
  readonly address: string;
  readonly clock: Clock;
}

export interface UdpRelay {
  close(): void;
}

/** As long as a NAT keeps a conversation in mind that went both ways. */
const idleMs = 180_000;
/** The longest silent ones are forgotten first. */
const clientsMax = 512;

interface Client {
  readonly node: Socket;
  readonly forget: Timer;
}

/** Rejects when another program has the port. */
export async function openUdpRelay(options: UdpRelayOptions): Promise<UdpRelay> {
  const first = await openAt("127.0.0.1", options);
  // A machine may be without IPv6.
  const second = await openAt("::1", options).catch(() => undefined);
  return {
    close: () => {
      first.close();
      second?.close();
    },
  };
}

async function openAt(host: string, { port, address, clock }: UdpRelayOptions): Promise<UdpRelay> {
  const clients = new Map<string, Client>();
  const local = await listen(host, port);
  const forget = (key: string) => {
    const client = clients.get(key);
    clients.delete(key);
    client?.forget.cancel();
    client?.node.close();
  };
  const clientOf = (key: string, from: { readonly address: string; readonly port: number }): Socket => {
    const known = clients.get(key);
    const node = known?.node ?? createSocket("udp4");
    known?.forget.cancel();
    // Behind the others: it was heard last.
    clients.delete(key);
    clients.set(key, { node, forget: clock.after(idleMs, () => forget(key)) });
    if (known !== undefined) return node;
    const [oldest] = clients.keys();
    if (clients.size > clientsMax && oldest !== undefined) forget(oldest);
    node.on("error", () => forget(key));
    node.on("message", (data, { address: sender, port: senderPort }) => {
      if (sender === address && senderPort === port) local.send(data, from.port, from.address);
    });
    return node;
  };
  // A datagram that cannot be passed on is lost, as datagrams may be.
  local.on("error", () => {});
  local.on("message", (data, from) => clientOf(`${from.address} ${from.port}`, from).send(data, port, address));
  return {
    close: () => {
      for (const key of clients.keys()) forget(key);
      local.close();
    },
  };
}

function listen(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(":") ? { type: "udp6", ipv6Only: true } : { type: "udp4" });
    socket.once("error", (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}
