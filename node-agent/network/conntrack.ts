// Makes the kernel forget where it sent a UDP client's packets before (nfnetlink, include/uapi/linux/netfilter/nfnetlink_conntrack.h).
import { addressBytes, parseAddress } from "./addresses.ts";
import { attribute, attributesOf, errno, type Launcher, message, type NetlinkStep, perform } from "./netlink.ts";
import type { UdpEndpoint } from "./service-rules.ts";

const netfilter = 12;
const type = { get: 0x101, delete: 0x102 } as const;
const flag = { request: 1, dump: 0x300 } as const;
const cta = { original: 1, reply: 2, id: 12, filter: 25 } as const;
const nested = 0x8000;
const udp = 17;
/** Of the filter: source address, protocol and source port of the reply. */
const replyFilter = (1 << 0) | (1 << 3) | (1 << 4);
const nfHeaderBytes = 4;

/** Drops the connections that these endpoints answer; what comes next is assigned anew. */
export async function forgetUdp(launcher: Launcher, endpoints: readonly UdpEndpoint[]): Promise<void> {
  const lists = await perform(launcher, endpoints.flatMap(listStep));
  const deletions = lists.flatMap(({ answers }) =>
    answers.map(({ body }): NetlinkStep => {
      const found = attributesOf(body, nfHeaderBytes);
      const original = attribute(nested | cta.original, found.get(cta.original) ?? Buffer.alloc(0));
      const id = attribute(cta.id, found.get(cta.id) ?? Buffer.alloc(0));
      const forget = message(type.delete, flag.request, header(body.readUInt8(0)), [original, id]);
      return { what: "forget UDP connection", message: forget, protocol: netfilter, accept: [errno.ENOENT] };
    }),
  );
  await perform(launcher, deletions);
}

function listStep({ address, port }: UdpEndpoint): readonly NetlinkStep[] {
  const parsed = parseAddress(address);
  if (parsed === undefined) return [];
  const portBytes = Buffer.alloc(2);
  portBytes.writeUInt16BE(port);
  const source = attribute(nested | 1, [attribute(parsed.family === 4 ? 1 : 3, addressBytes(parsed))]);
  const protocol = attribute(nested | 2, [attribute(1, Buffer.from([udp])), attribute(2, portBytes)]);
  const filter = attribute(nested | cta.filter, [attribute(1, 0), attribute(2, replyFilter)]);
  const attributes = [attribute(nested | cta.reply, [source, protocol]), filter];
  return [
    {
      what: "list UDP connections",
      message: message(type.get, flag.request | flag.dump, header(parsed.family === 4 ? 2 : 10), attributes),
      protocol: netfilter,
      keep: { headerBytes: nfHeaderBytes, types: [cta.original, cta.id] },
    },
  ];
}

function header(family: number): Buffer {
  return Buffer.from([family, 0, 0, 0]);
}
