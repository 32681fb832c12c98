// Names of the cluster and of the world outside, as a pod's resolver asks for them.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { it } from "node:test";
import { decode, encode } from "dns-packet";
import fc from "fast-check";
import type { EndpointSlice, Service } from "../../api/kinds/generated/types.ts";
import { realClock } from "../../lib/clock.ts";
import { seededRandom } from "../../lib/random.ts";
import { indexCluster } from "./cluster-index.ts";
import { type AnswerContext, answerQuery } from "./dns-answer.ts";
import { createForward, framed, nameservers } from "./dns-forward.ts";
import { clusterNames, lookUp } from "./dns-names.ts";

const services: readonly Service[] = [
  {
    metadata: { name: "web", namespace: "shop" },
    spec: { clusterIP: "10.96.0.9", clusterIPs: ["10.96.0.9", "fd00::9"], ports: [{ name: "http", port: 80 }] },
  },
  { metadata: { name: "db", namespace: "shop" }, spec: { clusterIP: "None", ports: [{ name: "sql", port: 5432 }] } },
  { metadata: { name: "out", namespace: "shop" }, spec: { type: "ExternalName", externalName: "Example.TEST." } },
  {
    metadata: { name: "alias", namespace: "shop" },
    spec: { type: "ExternalName", externalName: "web.shop.svc.cluster.local" },
  },
  {
    metadata: { name: "loop", namespace: "shop" },
    spec: { type: "ExternalName", externalName: "loop.shop.svc.cluster.local" },
  },
];
const many = Array.from({ length: 300 }, (_, i) => `10.244.${i >> 8}.${i & 255}`);
const slices: readonly EndpointSlice[] = [
  sliceOf("db", [
    { addresses: ["10.244.1.5"], hostname: "db-0", conditions: { ready: true } },
    { addresses: ["10.244.2.5"], conditions: { ready: true } },
    { addresses: ["10.244.3.5"], hostname: "db-2", conditions: { ready: false } },
  ]),
  sliceOf(
    "big",
    many.map((address) => ({ addresses: [address] })),
  ),
];
const big: Service = { metadata: { name: "big", namespace: "shop" }, spec: { clusterIP: "None" } };
const index = indexCluster({ services: [...services, big], endpointSlices: slices }, new Map());
const names = clusterNames(index, "cluster.local");

it("knows every kind of name of the cluster: lookUp", () => {
  const found = (name: string) => {
    const answer = lookUp(names, name);
    return answer.found === "records"
      ? answer.records.map(({ type, data }) => `${type} ${JSON.stringify(data)}`)
      : answer.found;
  };
  assert.deepEqual(
    [
      "web.shop.svc.cluster.local",
      "db.shop.svc.cluster.local",
      "db-0.db.shop.svc.cluster.local",
      "db-2.db.shop.svc.cluster.local",
      "10-244-2-5.db.shop.svc.cluster.local",
      "_sql._tcp.db.shop.svc.cluster.local",
      "_http._tcp.web.shop.svc.cluster.local",
      "_http._udp.web.shop.svc.cluster.local",
      "out.shop.svc.cluster.local",
      "5.1.244.10.in-addr.arpa",
      "9.0.96.10.in-addr.arpa",
      "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
      "1.0.0.10.in-addr.arpa",
      "shop.svc.cluster.local",
      "other.svc.cluster.local",
      "svc.cluster.local",
      "cluster.local",
      "10-1-2-3.shop.pod.cluster.local",
      "x.shop.pod.cluster.local",
      "web.shop.svc.cluster.local.shop.svc.cluster.local",
      "example.test",
      "notcluster.local",
      "",
    ].map(found),
    [
      ['A "10.96.0.9"', 'AAAA "fd00::9"'],
      ['A "10.244.1.5"', 'A "10.244.2.5"'],
      ['A "10.244.1.5"'],
      "nothing",
      ['A "10.244.2.5"'],
      [
        'SRV {"port":5432,"target":"db-0.db.shop.svc.cluster.local"}',
        'SRV {"port":5432,"target":"10-244-2-5.db.shop.svc.cluster.local"}',
      ],
      ['SRV {"port":80,"target":"web.shop.svc.cluster.local"}'],
      "nothing",
      ['CNAME "example.test"'],
      ['PTR "db-0.db.shop.svc.cluster.local"'],
      ['PTR "web.shop.svc.cluster.local"'],
      ['PTR "web.shop.svc.cluster.local"'],
      "elsewhere",
      [],
      "nothing",
      [],
      [],
      ['A "10.1.2.3"'],
      "nothing",
      "nothing",
      "elsewhere",
      "elsewhere",
      "elsewhere",
    ],
  );
});

it("says that a name is not there, or has no such record, with the zone's SOA: answerQuery", async () => {
  const absent = await ask("nope.shop.svc.cluster.local", "A");
  const empty = await ask("db.shop.svc.cluster.local", "AAAA");
  const facts = [absent, empty].map(({ rcode, answers, authorities }) => [
    rcode,
    answers?.length,
    authorities?.map(({ type, name }) => `${type} ${name}`),
  ]);
  assert.deepEqual(facts, [
    ["NXDOMAIN", 0, ["SOA cluster.local"]],
    ["NOERROR", 0, ["SOA cluster.local"]],
  ]);
});

it("follows names that stand for others, inside and outside, and no circle for ever: answerQuery", async () => {
  const outside = encode({
    type: "response",
    id: 1,
    questions: [{ name: "example.test", type: "A" }],
    answers: [{ name: "example.test", type: "A", ttl: 9, data: "192.0.2.7" }],
  });
  const forward = async () => outside;
  const data = async (name: string) =>
    (await ask(name, "A", { forward })).answers?.map((one) => `${one.type} ${String(one.data)}`).sort();
  assert.deepEqual(
    [
      await data("out.shop.svc.cluster.local"),
      await data("alias.shop.svc.cluster.local"),
      (await data("loop.shop.svc.cluster.local"))?.length,
    ],
    [["A 192.0.2.7", "CNAME example.test"], ["A 10.96.0.9", "CNAME web.shop.svc.cluster.local"], 5],
  );
});

it("cuts what is too long for UDP and gives all of it over TCP: answerQuery", async () => {
  const udp = await ask("big.shop.svc.cluster.local", "A");
  const tcp = await ask("big.shop.svc.cluster.local", "A", {}, "tcp");
  assert.deepEqual([((udp.flags ?? 0) & 0x0200) !== 0, udp.answers?.length, tcp.answers?.length], [true, 0, 300]);
});

it("refuses politely what is no plain question, and never answers answers: answerQuery", async () => {
  const rcode = async (bytes: Buffer) => {
    const reply = await answerQuery(contextWith({}), bytes, "udp");
    return reply === undefined ? undefined : reply.readUInt8(3) & 15;
  };
  const query = encode({ type: "query", id: 9, questions: [{ name: "web.shop.svc.cluster.local", type: "A" }] });
  const two = encode({
    type: "query",
    questions: [
      { name: "a", type: "A" },
      { name: "b", type: "A" },
    ],
  });
  const response = Buffer.from(query);
  response.writeUInt8(0x80, 2);
  const update = Buffer.from(query);
  update.writeUInt8(5 << 3, 2);
  const chaos = Buffer.from(query);
  chaos.writeUInt16BE(3, chaos.length - 2);
  assert.deepEqual(
    await Promise.all(
      [query, two, response, update, chaos, query.subarray(0, 20), Buffer.alloc(11), Buffer.alloc(12)].map(rcode),
    ),
    [0, 1, undefined, 4, 4, 1, undefined, 1],
  );
});

it("survives any bytes: answerQuery", async () => {
  const query = encode({ type: "query", id: 9, questions: [{ name: "web.shop.svc.cluster.local", type: "A" }] });
  const damaged = fc.tuple(fc.nat(query.length - 1), fc.nat(255)).map(([at, value]) => {
    const copy = Buffer.from(query);
    copy.writeUInt8(value, at);
    return copy;
  });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }).map((array) => Buffer.from(array)),
    damaged,
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (message) => {
      const reply = await answerQuery(contextWith({}), message, "udp");
      assert.ok(reply === undefined || (reply.readUInt16BE(0) === message.readUInt16BE(0) && reply.length <= 1232));
    }),
    { numRuns: 500 },
  );
});

it("asks upstream servers in turn, keeps answers, ignores forged ones: createForward", async () => {
  const upstream = createSocket("udp4");
  const asked: string[] = [];
  upstream.on("message", (bytes, from) => {
    const query = decode(bytes);
    const name = query.questions?.[0]?.name ?? "";
    asked.push(name);
    const reply = { type: "response" as const, id: query.id ?? 0, questions: query.questions ?? [] };
    const answers = [{ name, type: "A", ttl: 60, data: "192.0.2.1" }];
    const forged = [{ name, type: "A", ttl: 60, data: "203.0.113.66" }];
    upstream.send(encode({ ...reply, id: (reply.id + 1) & 0xffff, answers: forged }), from.port, from.address);
    upstream.send(
      encode({ ...reply, questions: [{ name: "other.test", type: "A" }], answers: forged }),
      from.port,
      from.address,
    );
    upstream.send(encode({ ...reply, answers: name === "empty.test" ? [] : answers }), from.port, from.address);
  });
  await new Promise<void>((resolve) => upstream.bind(0, "127.0.0.1", resolve));
  const { port } = upstream.address();
  // Nobody listens at the first address.
  const forward = createForward({
    clock: realClock,
    random: seededRandom(1),
    upstreams: () => ["127.0.0.2", "127.0.0.1"],
    port,
  });
  const data = async (name: string, id: number) => {
    const question = { name, type: "A" };
    const reply = await forward(encode({ type: "query", id, flags: 0x0100, questions: [question] }), question, "udp");
    const packet = reply === undefined ? undefined : decode(reply);
    return [packet?.id, packet?.answers?.[0]?.data];
  };
  const together = await Promise.all([data("a.test", 1), data("a.test", 2)]);
  const later = [await data("a.test", 3), await data("empty.test", 4), await data("empty.test", 5)];
  upstream.close();
  assert.deepEqual(
    [together, later, asked],
    [
      [
        [1, "192.0.2.1"],
        [2, "192.0.2.1"],
      ],
      [
        [3, "192.0.2.1"],
        [4, undefined],
        [5, undefined],
      ],
      ["a.test", "empty.test", "empty.test"],
    ],
  );
});

it("asks over TCP what came over TCP: createForward", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      const query = decode(bytes.subarray(2));
      const reply = framed(encode({ type: "response", id: query.id ?? 0, questions: query.questions ?? [] }));
      socket.write(reply.subarray(0, 5));
      socket.write(reply.subarray(5));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const forward = createForward({ clock: realClock, random: seededRandom(1), upstreams: () => ["127.0.0.1"], port });
  const question = { name: "a.test", type: "A" };
  const reply = await forward(encode({ type: "query", id: 77, questions: [question] }), question, "tcp");
  server.close();
  assert.equal(reply?.readUInt16BE(0), 77);
});

it("reads servers and nothing else: nameservers", () => {
  const text = "# nameserver 1.1.1.1\nnameserver 10.0.0.1\n nameserver\tfd00::1 \nnameserver nonsense\nsearch a b\n";
  assert.deepEqual(nameservers(text), ["10.0.0.1", "fd00::1"]);
});

function contextWith(more: Partial<AnswerContext>): AnswerContext {
  return { names: () => names, forward: async () => undefined, random: seededRandom(1), ...more };
}

async function ask(name: string, type: string, more: Partial<AnswerContext> = {}, transport: "udp" | "tcp" = "udp") {
  const reply = await answerQuery(
    contextWith(more),
    encode({ type: "query", id: 9, questions: [{ name, type }] }),
    transport,
  );
  assert.ok(reply !== undefined);
  return decode(reply);
}

function sliceOf(service: string, endpoints: NonNullable<EndpointSlice["endpoints"]>): EndpointSlice {
  return {
    metadata: { name: service, namespace: "shop", labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [{ name: "sql", port: 5432, protocol: "TCP" }],
    endpoints,
  };
}
