// Keeps this machine's localhost in step with what the nodes' containers publish: hears of their starts and ends, listens, passes on.
import { existsSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../../lib/clock.ts";
import { http } from "../../lib/node-http.ts";
import { dialThroughSocket, keyOf, type LocalPort, localPorts, type NodeDoor, planLocalPorts } from "./local-ports.ts";
import { holderOf } from "./ports.ts";
import { openUdpRelay } from "./udp-relay.ts";

const againMs = 500;
const lookMs = 100;
const listBytesMax = 16 * 1024 * 1024;
const filters = encodeURIComponent(JSON.stringify({ type: ["container"], event: ["start", "die", "destroy"] }));

interface Relay {
  readonly target: LocalPort;
  close(): void;
}

export interface LocalRelayOptions {
  readonly doors: readonly NodeDoor[];
  readonly clock: Clock;
  /** Hears of ports that cannot be had, once each. */
  readonly say: (text: string) => void;
}

/** Until it is disposed. */
export function relayLocalPorts({ doors, clock, say }: LocalRelayOptions): AsyncDisposable {
  const ended = new AbortController();
  const wanted = new Map<string, readonly LocalPort[]>();
  const relays = new Map<string, Relay>();
  const told = new Set<string>();
  const tell = (key: string, text: string) => {
    if (!told.has(key)) say(text);
    told.add(key);
  };
  let turn: Promise<void> = Promise.resolve();
  const apply = async () => {
    const all = doors.flatMap(({ name }) => wanted.get(name) ?? []);
    const open = new Map([...relays].map(([key, { target }]) => [key, target]));
    const changes = planLocalPorts(open, ended.signal.aborted ? [] : all);
    for (const key of changes.close) {
      relays.get(key)?.close();
      relays.delete(key);
    }
    const missing = ({ port, protocol, node }: LocalPort, why: string) =>
      tell(`${node}:${protocol}:${port}`, `port ${port}/${protocol} of ${node} is not on localhost: ${why}`);
    for (const target of changes.taken) missing(target, "another node's container has it");
    for (const target of changes.open) {
      const door = doors.find(({ name }) => name === target.node);
      if (door === undefined) continue;
      try {
        relays.set(keyOf(target), await openRelay(door, target, clock));
      } catch (error) {
        missing(target, whyNot(target, error));
      }
    }
  };
  const changed = () => {
    turn = turn.then(apply);
    return turn;
  };
  const watches = doors.map((door) =>
    watchContainers(
      door,
      async (containers) => {
        wanted.set(door.name, localPorts(door.name, containers));
        await changed();
      },
      ended.signal,
    ),
  );
  return {
    [Symbol.asyncDispose]: async () => {
      ended.abort(new Error("the cluster ends"));
      await Promise.all(watches);
      await changed();
    },
  };
}

/** Gives the list once there can be any, after every change, and after each break of the connection. */
async function watchContainers(
  door: NodeDoor,
  onList: (containers: unknown) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  // To ask a node would bring it the code behind Docker's API: 4 MB of memory that nobody may need.
  while (!signal.aborted && !existsSync(door.dockerDir)) await delay(lookMs, undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    try {
      const events = await ask(door, `/events?filters=${filters}`, signal);
      await onList(await list(door, signal));
      for await (const _ of events) await onList(await list(door, signal));
    } catch {
      // The agent is not there, or not yet: what it published last holds until it says otherwise.
    }
    await delay(againMs, undefined, { signal }).catch(() => {});
  }
}

async function list(door: NodeDoor, signal: AbortSignal): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of (await ask(door, "/containers/json", signal)) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > listBytesMax) throw new Error(`${door.name} lists more containers than fit`);
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}

function ask({ socketPath }: NodeDoor, path: string, signal: AbortSignal): Promise<AsyncIterable<unknown>> {
  return new Promise((resolve, reject) => {
    const call = http.request({ socketPath, path, signal }, resolve);
    call.on("error", reject);
    call.end();
  });
}

function whyNot({ port, protocol }: LocalPort, error: unknown): string {
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return (error as Error).message;
  return `${(protocol === "tcp" ? holderOf(port) : undefined) ?? "another process"} has it`;
}

async function openRelay(door: NodeDoor, target: LocalPort, clock: Clock): Promise<Relay> {
  if (target.protocol === "tcp") return openTcpRelay(door, target);
  // There is no way for datagrams through the docker socket.
  if (target.loopbackOnly) throw new Error("it is published on the node's own loopback alone");
  const relay = await openUdpRelay({ port: target.port, address: door.address, clock });
  return { target, close: () => relay.close() };
}

async function openTcpRelay(door: NodeDoor, target: LocalPort): Promise<Relay> {
  const sockets = new Set<Socket>();
  const listener = () =>
    createServer({ allowHalfOpen: true }, (client) => {
      const dialled = target.loopbackOnly ? dialThroughSocket(door, target.port) : dial(door.address, target.port);
      keep(sockets, client);
      dialled.then(
        (node) => {
          keep(sockets, node);
          join(client, node);
        },
        () => client.destroy(),
      );
    });
  const first = await listen(listener(), "127.0.0.1", target.port);
  // A machine may be without IPv6.
  const second = await listen(listener(), "::1", target.port).catch(() => undefined);
  return {
    target,
    close: () => {
      for (const server of [first, second]) server?.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function dial(address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true }, () => resolve(socket));
    socket.once("error", reject);
  });
}

function listen(server: Server, host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function keep(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => sockets.delete(socket));
}

/** Each side's end is the other's end; when one breaks, both do. */
function join(client: Socket, node: Socket): void {
  if (client.destroyed) node.destroy();
  client.pipe(node);
  node.pipe(client);
  client.on("close", () => node.destroy());
  node.on("close", () => client.destroy());
}
