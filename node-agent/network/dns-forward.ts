// Asks the machine's own DNS servers for names outside the cluster: bounded, with a small cache, and never trusting a stray packet.
import { createSocket } from "node:dgram";
import { connect, isIP, isIPv6 } from "node:net";
import { type Answer, decode, type Packet, type Question } from "dns-packet";
import type { Clock } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import type { Forward, Transport } from "./dns-answer.ts";

export interface ForwardOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Addresses of servers, best first; asked at each query, so that it may change. */
  readonly upstreams: () => readonly string[];
  readonly port?: number;
}

const inFlightMax = 256;
const tryMs = 2000;
const upstreamsMax = 3;
const cacheEntriesMax = 1000;
const cacheBytesMax = 2048;
const cacheMs = { most: 30_000, negativeMost: 5_000 } as const;
const answerBytesMax = 65535;

export function createForward(options: ForwardOptions): Forward {
  const cache = new Map<string, { readonly bytes: Buffer; readonly untilMs: number }>();
  const running = new Map<string, Promise<Buffer | undefined>>();
  return async (query, question, transport) => {
    // What differs beside the question (checking disabled, DNSSEC wanted, buffer size) follows it in the message.
    const key = `${transport} ${query.subarray(2).toString("latin1").toLowerCase()}`;
    const hit = cache.get(key);
    if (hit !== undefined && hit.untilMs > options.clock.monotonicMs()) return withId(hit.bytes, query);
    cache.delete(key);
    let asking = running.get(key);
    if (asking === undefined) {
      if (running.size >= inFlightMax) return undefined;
      asking = askAll(options, query, question, transport).finally(() => running.delete(key));
      running.set(key, asking);
    }
    const reply = await asking;
    if (reply === undefined) return undefined;
    const keepMs = reply.length > cacheBytesMax ? 0 : cacheTime(reply);
    if (keepMs > 0) {
      const oldest = cache.size >= cacheEntriesMax ? cache.keys().next().value : undefined;
      if (oldest !== undefined) cache.delete(oldest);
      cache.set(key, { bytes: reply, untilMs: options.clock.monotonicMs() + keepMs });
    }
    return withId(reply, query);
  };
}

/** Addresses in a resolv.conf's text. */
export function nameservers(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
    return address !== undefined && isIP(address.replace(/%.*$/, "")) !== 0 ? [address] : [];
  });
}

async function askAll(
  options: ForwardOptions,
  query: Buffer,
  question: Question,
  transport: Transport,
): Promise<Buffer | undefined> {
  let failure: Buffer | undefined;
  for (const server of options.upstreams().slice(0, upstreamsMax)) {
    // An id of our own: what the client chose may be guessable.
    const asked = Buffer.from(query);
    asked.writeUInt16BE(options.random.uint32() & 0xffff, 0);
    const ask = transport === "tcp" ? askTcp : askUdp;
    const reply = await ask(options, server, { bytes: asked, question });
    if (reply === undefined) continue;
    const rcode = reply.readUInt8(3) & 15;
    // It could not or would not: another may.
    if (rcode !== 2 && rcode !== 5) return reply;
    failure = reply;
  }
  return failure;
}

interface Asked {
  readonly bytes: Buffer;
  readonly question: Question;
}

function askUdp(options: ForwardOptions, server: string, asked: Asked): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.replace(/%.*$/, "")) ? "udp6" : "udp4");
    const finish = (reply: Buffer | undefined) => {
      timer.cancel();
      socket.removeAllListeners();
      socket.on("error", () => {});
      socket.close();
      resolve(reply);
    };
    const timer = options.clock.after(tryMs, () => finish(undefined));
    socket.on("error", () => finish(undefined));
    socket.on("message", (bytes) => {
      if (isReplyTo(bytes, asked)) finish(bytes);
    });
    // Connected, so that the kernel drops what others send and reports a port that nobody listens on.
    socket.connect(options.port ?? 53, server, () => socket.send(asked.bytes));
  });
}

function askTcp(options: ForwardOptions, server: string, asked: Asked): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect(options.port ?? 53, server);
    const finish = (reply: Buffer | undefined) => {
      timer.cancel();
      socket.destroy();
      resolve(reply);
    };
    const timer = options.clock.after(tryMs, () => finish(undefined));
    let received = Buffer.alloc(0);
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(undefined));
    socket.on("connect", () => socket.write(framed(asked.bytes)));
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length > answerBytesMax + 2) finish(undefined);
      else if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const reply = received.subarray(2, 2 + received.readUInt16BE(0));
        finish(isReplyTo(reply, asked) ? reply : undefined);
      }
    });
  });
}

/** A message as TCP carries it: behind its length. */
export function framed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length, 0);
  return Buffer.concat([length, bytes]);
}

function isReplyTo(reply: Buffer, { bytes, question }: Asked): boolean {
  if (reply.length < 12 || reply.readUInt16BE(0) !== bytes.readUInt16BE(0) || (reply.readUInt8(2) & 0x80) === 0)
    return false;
  const [answered] = decoded(reply)?.questions ?? [];
  if (answered === undefined) return false;
  return answered.type === question.type && answered.name.toLowerCase() === question.name.toLowerCase();
}

function cacheTime(reply: Buffer): number {
  const packet = decoded(reply);
  if (packet === undefined || (reply.readUInt8(2) & 2) !== 0) return 0;
  const rcode = reply.readUInt8(3) & 15;
  const answers = packet.answers ?? [];
  if (rcode === 0 && answers.length > 0) return Math.min(cacheMs.most, smallestTtlMs(answers));
  const negative = (packet.authorities ?? []).filter(({ type }) => type === "SOA");
  if ((rcode !== 0 && rcode !== 3) || negative.length === 0) return 0;
  return Math.min(cacheMs.negativeMost, smallestTtlMs(negative));
}

function smallestTtlMs(records: readonly Answer[]): number {
  return Math.min(...records.map(({ ttl }) => (ttl ?? 0) * 1000));
}

function decoded(bytes: Buffer): Packet | undefined {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
}

function withId(reply: Buffer, query: Buffer): Buffer {
  const copy = Buffer.from(reply);
  query.copy(copy, 0, 0, 2);
  return copy;
}
