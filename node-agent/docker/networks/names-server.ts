// DNS for containers: names of those that share a network with the asker, everything else through the node's own servers.
import { type Answer, decode, encode, type Packet } from "dns-packet";
import type { Logger } from "../../../lib/log.ts";
import type { Transport } from "../../network/dns-answer.ts";
import { DnsSockets } from "../../network/dns-sockets.ts";
import type { Neighbours } from "./neighbours.ts";

export interface NamesServerOptions {
  readonly neighbours: Pick<Neighbours, "lookUp" | "reverse" | "mayForward" | "forwardFor">;
  readonly log: Logger;
  readonly port?: number;
}

const ttlSeconds = 600;
const flags = { answer: 0x0400 | 0x0080, servfail: 2, nxdomain: 3 } as const;

/** Listens on the gateways of networks. */
export function openNamesServer({ neighbours, log, port }: NamesServerOptions): DnsSockets {
  return new DnsSockets({
    answer: async (query, askerIp, transport) => await answerFor(neighbours, query, { askerIp, transport }),
    log,
    port,
  });
}

async function answerFor(
  neighbours: NamesServerOptions["neighbours"],
  bytes: Buffer,
  { askerIp, transport }: { readonly askerIp: string; readonly transport: Transport },
): Promise<Buffer | undefined> {
  // Answers are never answered, or two servers could talk for ever.
  if (bytes.length < 12 || (bytes.readUInt8(2) & 0x80) !== 0) return undefined;
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
