// Sockets that answer DNS, UDP and TCP, on addresses of the node's own, with bounds on what askers may hold.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, isIPv6, type Server, type Socket } from "node:net";
import type { Logger } from "../../lib/log.ts";
import type { Transport } from "./dns-answer.ts";
import { framed } from "./dns-forward.ts";

export interface DnsSocketsOptions {
  /** A whole message; undefined: none is deserved. */
  readonly answer: (query: Buffer, asker: string, transport: Transport) => Promise<Buffer | undefined>;
  readonly log: Logger;
  readonly port?: number | undefined;
}

const connectionsMax = 128;
const connectionIdleMs = 10_000;
const queriesAtOnceMax = 1024;
/** Of one address: whoever asks for what takes long must leave room for the others (dns-forward.ts waits for 256). */
const queriesPerAskerMax = 64;
const connectionsPerAskerMax = 32;

export class DnsSockets {
  readonly #options: DnsSocketsOptions;
  readonly #sockets = new Map<
    string,
    { readonly udp: UdpSocket; readonly tcp: Server; readonly clients: Set<Socket> }
  >();
  #queries = 0;
  /** Askers that wait, and for how many answers. */
  readonly #askers = new Map<string, number>();

  constructor(options: DnsSocketsOptions) {
    this.#options = options;
  }

  get addresses(): readonly string[] {
    return [...this.#sockets.keys()];
  }

  /** Again does no harm; rejects when the address cannot be had. */
  async open(address: string): Promise<void> {
    if (this.#sockets.has(address)) return;
    const port = this.#options.port ?? 53;
    const clients = new Set<Socket>();
    const udp = createSocket({ type: isIPv6(address) ? "udp6" : "udp4" });
    const tcp = createServer({ noDelay: true }, (socket) => this.#serve(socket, clients));
    tcp.maxConnections = connectionsMax;
    this.#sockets.set(address, { udp, tcp, clients });
    try {
      await new Promise<void>((resolve, reject) => {
        udp.once("error", reject);
        udp.bind({ address, port }, () => resolve());
      });
      await new Promise<void>((resolve, reject) => {
        tcp.once("error", reject);
        tcp.listen(port, address, () => resolve());
      });
    } catch (cause) {
      this.#sockets.delete(address);
      udp.close();
      tcp.close();
      throw new Error(`listen for DNS on ${address} port ${port}`, { cause });
    }
    udp.removeAllListeners("error");
    udp.on("error", (error) => this.#options.log.warn({ error, address }, "DNS socket failed"));
    tcp.on("error", (error) => this.#options.log.warn({ error, address }, "DNS listener failed"));
    udp.on("message", (bytes, from) => {
      void this.#answer(bytes, from.address, "udp").then((reply) => {
        if (reply === undefined || this.#sockets.get(address)?.udp !== udp) return;
        udp.send(reply, from.port, from.address, () => {});
      });
    });
  }

  async close(address: string): Promise<void> {
    const sockets = this.#sockets.get(address);
    this.#sockets.delete(address);
    if (sockets === undefined) return;
    for (const client of sockets.clients) client.destroy();
    await new Promise<void>((resolve) => sockets.udp.close(resolve));
    await new Promise<void>((resolve) => sockets.tcp.close(() => resolve()));
  }

  async closeAll(): Promise<void> {
    for (const address of this.addresses) await this.close(address);
  }

  #serve(socket: Socket, clients: Set<Socket>): void {
    const { remoteAddress: asker = "" } = socket;
    if ([...clients].filter(({ remoteAddress }) => remoteAddress === asker).length >= connectionsPerAskerMax) {
      socket.destroy();
      return;
    }
    clients.add(socket);
    socket.setTimeout(connectionIdleMs, () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => clients.delete(socket));
    let received: Buffer = Buffer.alloc(0);
    let turn: Promise<void> = Promise.resolve();
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      // One chunk may hold many queries: they are answered one after the other, and reading waits meanwhile.
      socket.pause();
      turn = turn
        .then(async () => {
          while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
            const query = received.subarray(2, 2 + received.readUInt16BE(0));
            received = received.subarray(2 + query.length);
            const reply = await this.#answer(query, asker, "tcp");
            if (reply === undefined) socket.destroy();
            else await write(socket, framed(reply));
          }
          socket.resume();
        })
        .catch(() => void socket.destroy());
    });
  }

  async #answer(query: Buffer, asker: string, transport: Transport): Promise<Buffer | undefined> {
    const waiting = this.#askers.get(asker) ?? 0;
    if (this.#queries >= queriesAtOnceMax || waiting >= queriesPerAskerMax) return undefined;
    this.#queries++;
    this.#askers.set(asker, waiting + 1);
    try {
      return await this.#options.answer(query, asker, transport);
    } catch (error) {
      this.#options.log.debug({ error }, "DNS query could not be answered");
      return undefined;
    } finally {
      this.#queries--;
      const left = (this.#askers.get(asker) ?? 1) - 1;
      if (left === 0) this.#askers.delete(asker);
      else this.#askers.set(asker, left);
    }
  }
}

// Waits for an asker that does not read, so that it holds one answer and not thousands.
async function write(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.destroyed || socket.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}
