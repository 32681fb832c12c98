// Turns a query into an answer: the cluster's names at once, everything else through the forwarder.
import { type Answer, decode, encode, type Packet, type Question } from "dns-packet";
import { below, type Random } from "../../lib/random.ts";
import { type ClusterNames, type DnsRecord, lookUp } from "./dns-names.ts";

export type Transport = "udp" | "tcp";

/** Asks the servers that know the rest of the world; the answer is a whole message with the query's id, or undefined. */
export type Forward = (query: Buffer, question: Question, transport: Transport) => Promise<Buffer | undefined>;

export interface AnswerContext {
  readonly names: () => ClusterNames;
  readonly forward: Forward;
  readonly random: Random;
}

const ttlSeconds = 5;
const queryBytesMax = 4096;
const plainUdpBytesMax = 512;
/** What fits everywhere without being cut into fragments (DNS flag day 2020). */
const ednsUdpBytesMax = 1232;
const cnameHopsMax = 4;

const authoritative = 0x0400;
const truncated = 0x0200;
const recursionDesired = 0x0100;
const recursionAvailable = 0x0080;
const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4 } as const;

/** The answer to one message; undefined when it deserves none (it is no query at all). */
export async function answerQuery(
  context: AnswerContext,
  bytes: Buffer,
  transport: Transport,
): Promise<Buffer | undefined> {
  // Answers are never answered, or two servers could talk for ever.
  if (bytes.length < 12 || (bytes.readUInt8(2) & 0x80) !== 0) return undefined;
  const query = bytes.length > queryBytesMax ? undefined : decodeQuery(bytes);
  const question = query?.questions?.[0];
  if (query === undefined || question === undefined || query.questions?.length !== 1) return bare(bytes, "FORMERR");
  if (query.opcode !== "QUERY" || (question.class ?? "IN") !== "IN") return bare(bytes, "NOTIMP");
  const name = question.name.replace(/\.$/, "").toLowerCase();
  const found = lookUp(context.names(), name);
  switch (found.found) {
    case "elsewhere":
      return (await context.forward(bytes, question, transport)) ?? bare(bytes, "SERVFAIL");
    case "nothing":
      return fit(query, respond(query, "NXDOMAIN", [], [soa(context)]), transport);
    case "records": {
      const { records, outside } = await choose(context, found.records, question);
      const answers = shuffled(records, context.random).map((record) => toAnswer(record, question.name, name));
      const authorities = answers.length + outside.length === 0 ? [soa(context)] : [];
      const additionals = question.type === "SRV" ? targets(context, records) : [];
      return fit(query, respond(query, "NOERROR", [...answers, ...outside], authorities, additionals), transport);
    }
  }
}

function decodeQuery(bytes: Buffer): Packet | undefined {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
}

interface Chosen {
  readonly records: readonly DnsRecord[];
  /** What others said about where a CNAME leads. */
  readonly outside: readonly Answer[];
}

// Simple resolvers, such as musl's, do not follow a CNAME themselves.
async function choose(context: AnswerContext, all: readonly DnsRecord[], question: Question): Promise<Chosen> {
  const matching = all.filter(({ type }) => type === question.type || question.type === "ANY");
  let alias = all.find((record) => record.type === "CNAME");
  if (matching.length > 0 || alias === undefined) return { records: matching, outside: [] };
  const records: DnsRecord[] = [alias];
  for (let hops = 0; hops < cnameHopsMax && alias?.type === "CNAME"; hops++) {
    const target: string = alias.data;
    const found = lookUp(context.names(), target);
    if (found.found === "nothing") break;
    if (found.found === "elsewhere") {
      return { records, outside: await askOutside(context, { name: target, type: question.type }) };
    }
    records.push(...found.records.filter(({ type }) => type === question.type));
    alias = found.records.find((record) => record.type === "CNAME");
    if (alias !== undefined) records.push(alias);
  }
  return { records, outside: [] };
}

async function askOutside(context: AnswerContext, question: Question): Promise<readonly Answer[]> {
  const query = encode({
    type: "query",
    id: context.random.uint32() & 0xffff,
    flags: recursionDesired,
    questions: [question],
  });
  const reply = await context.forward(query, question, "tcp");
  return (reply === undefined ? undefined : decodeQuery(reply))?.answers ?? [];
}

function toAnswer(record: DnsRecord, askedAs: string, askedName: string): Answer {
  // The name goes back as it came: some resolvers vary its case to tell forged answers.
  const name = record.name === askedName ? askedAs : record.name;
  const data = record.type === "SRV" ? { priority: 0, weight: 100, ...record.data } : record.data;
  return { name, type: record.type, ttl: ttlSeconds, class: "IN", data };
}

function targets(context: AnswerContext, records: readonly DnsRecord[]): readonly Answer[] {
  const names = new Set(records.flatMap((record) => (record.type === "SRV" ? [record.data.target] : [])));
  return [...names].flatMap((name) => {
    const found = lookUp(context.names(), name);
    return found.found === "records" ? found.records.map((record) => toAnswer(record, name, name)) : [];
  });
}

function soa(context: AnswerContext): Answer {
  const { domain } = context.names();
  const times = { serial: 1, refresh: 7200, retry: 1800, expire: 86400, minimum: ttlSeconds };
  return {
    name: domain,
    type: "SOA",
    ttl: ttlSeconds,
    class: "IN",
    data: { mname: `ns.dns.${domain}`, rname: `hostmaster.${domain}`, ...times },
  };
}

function respond(
  query: Packet,
  rcode: keyof typeof rcodes,
  answers: readonly Answer[],
  authorities: readonly Answer[] = [],
  additionals: readonly Answer[] = [],
): Packet {
  const asked = (query.flags ?? 0) & recursionDesired;
  return {
    type: "response",
    id: query.id ?? 0,
    flags: authoritative | asked | recursionAvailable | rcodes[rcode],
    questions: query.questions ?? [],
    answers,
    authorities,
    additionals: hasEdns(query) ? [...additionals, edns()] : additionals,
  };
}

// Too large for the asker's packets: without additionals, then as an invitation to ask over TCP.
function fit(query: Packet, response: Packet, transport: Transport): Buffer {
  const whole = encode(response);
  const bytesMax = transport === "tcp" ? 65535 : udpBytesMax(query);
  if (whole.length <= bytesMax) return whole;
  const opt = (response.additionals ?? []).filter(({ type }) => type === "OPT");
  const lean = encode({ ...response, additionals: opt });
  if (lean.length <= bytesMax) return lean;
  return encode({
    ...response,
    flags: (response.flags ?? 0) | truncated,
    answers: [],
    authorities: [],
    additionals: opt,
  });
}

function hasEdns(query: Packet): boolean {
  return query.additionals?.some(({ type }) => type === "OPT") === true;
}

function edns(): Answer {
  return {
    name: ".",
    type: "OPT",
    udpPayloadSize: ednsUdpBytesMax,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    options: [],
  };
}

function udpBytesMax(query: Packet): number {
  const size = query.additionals?.find(({ type }) => type === "OPT")?.udpPayloadSize ?? plainUdpBytesMax;
  return Math.max(plainUdpBytesMax, Math.min(ednsUdpBytesMax, size));
}

/** An answer without records, made from the query's bytes alone: they may not even parse. */
function bare(query: Buffer, rcode: keyof typeof rcodes): Buffer {
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8000 | (query.readUInt16BE(2) & 0x7900) | recursionAvailable | rcodes[rcode], 2);
  const question = questionBytes(query);
  header.writeUInt16BE(question.length > 0 ? 1 : 0, 4);
  return Buffer.concat([header, question]);
}

function questionBytes(query: Buffer): Buffer {
  if (query.length < 12 || query.readUInt16BE(4) !== 1) return Buffer.alloc(0);
  for (let at = 12; at < query.length && at < 12 + 255; ) {
    const length = query.readUInt8(at);
    if (length > 63) break;
    at += length + 1;
    if (length === 0) return at + 4 <= query.length ? query.subarray(12, at + 4) : Buffer.alloc(0);
  }
  return Buffer.alloc(0);
}

// So that clients that take the first address spread over all.
function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = below(random, i + 1);
    const [a, b] = [list[i], list[j]];
    if (a !== undefined && b !== undefined) [list[i], list[j]] = [b, a];
  }
  return list;
}
