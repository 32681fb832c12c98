// DNS for containers: names of those that share a network with the asker, everything else through the node's own servers.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import { type Answer, decode, encode, type Packet } from "dns-packet";
import type { Logger } from "../../../lib/log.ts";
import type { Transport } from "../../network/dns-answer.ts";
import { messageOf } from "../http/problem.ts";
import type { Neighbours } from "./neighbours.ts";

export interface NamesServerOptions {
  readonly neighbours: Pick<Neighbours, "lookUp" | "reverse" | "mayForward" | "forwardFor">;
  readonly log: Logger;
}

const ttlSeconds = 600;
const queriesAtOnceMax = 512;
const connectionsMax = 64;
const connectionIdleMs = 10_000;
const flags = { answer: 0x0400 | 0x0080, servfail: 2, nxdomain: 3, refused: 5 } as const;

interface Listener {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly clients: Set<Socket>;
}

export class NamesServer {
  readonly #options: NamesServerOptions;
  readonly #listeners = new Map<string, Listener>();
  #queries = 0;

  constructor(options: NamesServerOptions) {
    this.#options = options;
  }

  /** Again does no harm; rejects when the address cannot be had. */
  async listen(address: string): Promise<void> {
    if (this.#listeners.has(address)) return;
    const clients = new Set<Socket>();
    const udp = createSocket("udp4");
    const tcp = createServer((socket) => this.#serve(socket, clients));
    tcp.maxConnections = connectionsMax;
    this.#listeners.set(address, { udp, tcp, clients });
    try {
      await new Promise<void>((resolve, reject) => {
        udp.once("error", reject);
        udp.bind({ address, port: 53 }, () => resolve());
      });
      await new Promise<void>((resolve, reject) => {
        tcp.once("error", reject);
        tcp.listen(53, address, () => resolve());
      });
    } catch (cause) {
      this.#listeners.delete(address);
      udp.close();
      tcp.close();
      throw new Error(`listen for DNS on ${address} port 53`, { cause });
    }
    for (const socket of [udp, tcp])
      socket.on("error", (error) =>
        this.#options.log.warn({ error: messageOf(error), address }, "DNS for containers failed"),
      );
    udp.on("message", (bytes, from) => {
      void this.#answer(bytes, from.address, "udp").then((reply) => {
        if (reply !== undefined && this.#listeners.get(address)?.udp === udp) udp.send(reply, from.port, from.address);
      });
    });
  }

  async stop(address: string): Promise<void> {
    const listener = this.#listeners.get(address);
    this.#listeners.delete(address);
    if (listener === undefined) return;
    for (const client of listener.clients) client.destroy();
    await new Promise<void>((resolve) => listener.udp.close(resolve));
    await new Promise<void>((resolve) => listener.tcp.close(() => resolve()));
  }

  async close(): Promise<void> {
    for (const address of [...this.#listeners.keys()]) await this.stop(address);
  }

  #serve(socket: Socket, clients: Set<Socket>): void {
    clients.add(socket);
    socket.setTimeout(connectionIdleMs, () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => clients.delete(socket));
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const query = received.subarray(2, 2 + received.readUInt16BE(0));
      received = received.subarray(2 + query.length);
      void this.#answer(query, socket.remoteAddress ?? "", "tcp").then((reply) => {
        if (reply === undefined) return socket.destroy();
        const size = Buffer.alloc(2);
        size.writeUInt16BE(reply.length);
        return socket.write(Buffer.concat([size, reply]));
      });
    });
  }

  async #answer(bytes: Buffer, askerIp: string, transport: Transport): Promise<Buffer | undefined> {
    if (bytes.length < 12 || (bytes.readUInt8(2) & 0x80) !== 0 || this.#queries >= queriesAtOnceMax) return undefined;
    this.#queries++;
    try {
      return await answerFor(this.#options.neighbours, bytes, { askerIp, transport });
    } catch {
      return undefined;
    } finally {
      this.#queries--;
    }
  }
}

async function answerFor(
  neighbours: NamesServerOptions["neighbours"],
  bytes: Buffer,
  { askerIp, transport }: { readonly askerIp: string; readonly transport: Transport },
): Promise<Buffer | undefined> {
  const query = decode(bytes);
  const [question] = query.questions ?? [];
  if (question === undefined) return undefined;
  const name = question.name.replace(/\.$/, "").toLowerCase();
  const pointer = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name);
  const owner = pointer === null ? undefined : neighbours.reverse(pointer.slice(1).toReversed().join("."), askerIp);
  if (owner !== undefined)
    return respond(query, 0, [{ type: "PTR", name: question.name, ttl: ttlSeconds, data: owner }]);
  const addresses = neighbours.lookUp(name, askerIp);
  if (addresses !== undefined) {
    const answers = addresses.map((data) => ({ type: data.includes(":") ? ("AAAA" as const) : ("A" as const), data }));
    const wanted = answers.filter(({ type }) => question.type === type || question.type === "ANY");
    return respond(
      query,
      0,
      wanted.map((answer) => ({ ...answer, name: question.name, ttl: ttlSeconds })),
    );
  }
  if (!neighbours.mayForward(askerIp)) return respond(query, flags.nxdomain, []);
  return (await neighbours.forwardFor(askerIp)(bytes, question, transport)) ?? respond(query, flags.servfail, []);
}

function respond(query: Packet, code: number, answers: readonly Answer[]): Buffer {
  const asked = (query.flags ?? 0) & 0x0100;
  return encode({
    type: "response",
    id: query.id ?? 0,
    flags: flags.answer | asked | code,
    questions: [...(query.questions ?? [])],
    answers: [...answers],
  });
}
