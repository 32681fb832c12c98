// What one asker may hold of a DNS server, so that the others still get their answers.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { encode, type Question } from "dns-packet";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { freePort } from "../../test/registry.ts";
import { DnsServer } from "./dns.ts";
import { clusterNames } from "./dns-names.ts";

const query = (name: string, id: number) =>
  encode({ type: "query", id, flags: 0x0100, questions: [{ name, type: "A" }] });

test("DnsServer leaves room for others when one asks more than is answered", async () => {
  const port = await freePort();
  const asked: string[] = [];
  let onAsked = () => {};
  const forward = (_query: Buffer, { name }: Question) => {
    asked.push(name);
    onAsked();
    return new Promise<undefined>(() => {});
  };
  const names = clusterNames(new Map(), "cluster.local");
  const server = new DnsServer({ port, forward, names: () => names, random: seededRandom(1), log: silentLogger });
  await server.listen(["127.0.0.1"]);
  const [greedy, modest] = [createSocket("udp4"), createSocket("udp4")];
  try {
    greedy.bind(0, "127.0.0.1");
    modest.bind(0, "127.0.0.2");
    await Promise.all([once(greedy, "listening"), once(modest, "listening")]);
    // Queries that come one after another on one socket are read in that order: once the modest one's is seen, all are.
    for (let i = 0; i < 100; i++)
      await new Promise((sent) => greedy.send(query(`g${i}.test`, i), port, "127.0.0.1", sent));
    const seen = new Promise<void>((resolve) => {
      onAsked = () => asked.includes("modest.test") && resolve();
    });
    modest.send(query("modest.test", 1), port, "127.0.0.1");
    await seen;
    assert.deepEqual([asked.length, asked.at(-1)], [65, "modest.test"]);
  } finally {
    greedy.close();
    modest.close();
    await server.close();
  }
});

test("DnsServer takes so many connections of one asker", async () => {
  const port = await freePort();
  const names = clusterNames(new Map(), "cluster.local");
  const forward = async () => undefined;
  const server = new DnsServer({ port, forward, names: () => names, random: seededRandom(1), log: silentLogger });
  await server.listen(["127.0.0.1"]);
  const open = Array.from({ length: 32 }, () => connect(port, "127.0.0.1"));
  try {
    await Promise.all(open.map((socket) => once(socket, "connect")));
    const refused = connect(port, "127.0.0.1");
    refused.on("error", () => {});
    await once(refused, "close");
    const other = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
    const asking = query("none.svc.cluster.local", 7);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(asking.length);
    other.write(Buffer.concat([length, asking]));
    const [answer] = (await once(other, "data")) as [Buffer];
    other.destroy();
    assert.equal(answer.readUInt16BE(2), 7);
  } finally {
    for (const socket of open) socket.destroy();
    await server.close();
  }
});
