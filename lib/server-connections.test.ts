import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { makeAuthority } from "./certificate.ts";
import { endWithConnections } from "./server-connections.ts";

test("endWithConnections ends connections before, in and after their TLS handshake", async () => {
  const nowMs = Date.now();
  const pair = await makeAuthority({ commonName: "test", organizations: [] }, nowMs - 60_000, nowMs + 60_000);
  const server = createServer({ key: pair.keyPem, cert: pair.certificatePem });
  const end = endWithConnections(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const [silent, halfWay] = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  const secure = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
  const all = [silent, halfWay, secure];
  for (const socket of all) socket.on("error", () => {});
  await Promise.all([once(silent, "connect"), once(halfWay, "connect"), once(secure, "secureConnect")]);
  halfWay.write(Buffer.from([22, 3, 1, 2, 0, 1])); // the beginning of a ClientHello
  const closed = all.map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())));
  await end();
  await Promise.all(closed);
  assert.equal(server.listening, false);
});
