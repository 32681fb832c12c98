// Datagrams that go through a relay of this machine's localhost.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { openUdpRelay } from "./udp-relay.ts";

test("openUdpRelay brings each client the answers to its own datagrams", async (t) => {
  const node = await bound(t, "127.0.0.2", 0);
  const { port } = node.address();
  node.on("message", (data, from) => node.send(`${data} heard`, from.port, from.address));
  const relay = await openUdpRelay({ port, address: "127.0.0.2", clock: realClock });
  t.after(() => relay.close());
  const clients = [await bound(t, "127.0.0.1", 0), await bound(t, "127.0.0.1", 0)];
  const answers = clients.map((client) => once(client, "message"));
  for (const [i, client] of clients.entries()) client.send(`client ${i}`, port, "127.0.0.1");
  assert.deepEqual(
    (await Promise.all(answers)).map(([data]) => String(data)),
    ["client 0 heard", "client 1 heard"],
  );
});

test("openUdpRelay says that another program has the port", async (t) => {
  const other = await bound(t, "127.0.0.1", 0);
  await assert.rejects(openUdpRelay({ port: other.address().port, address: "127.0.0.2", clock: realClock }), {
    code: "EADDRINUSE",
  });
});

async function bound(t: { after(run: () => void): void }, address: string, port: number): Promise<Socket> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.bind(port, address);
  await once(socket, "listening");
  return socket;
}
