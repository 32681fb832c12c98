// A home that is reached and says nothing.
import { rejects } from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { RegistryPeers } from "./peers.ts";

test("forward gives up a node with which no connection comes about", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const node = { name: "n1", url: `https://127.0.0.1:${port}/` };
  const tls = () => ({ cert: "", key: "", ca: "" });
  using peers = new RegistryPeers({ nodeName: "n2", nodes: () => [node], tls }, { connectMsMax: 50 });
  const request = { method: "GET", url: "/v2/", headers: {} } as IncomingMessage;
  const response = new PassThrough() as unknown as ServerResponse;
  try {
    const exchange = { request, response, query: new URLSearchParams(), caller: { name: "ann", groups: [] } };
    await rejects(peers.forward(node, exchange), { status: 503, message: /n1, the home .* does not answer/ });
  } finally {
    silent.close();
    for (const socket of sockets) socket.destroy();
  }
});
