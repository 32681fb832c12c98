import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { checkPorts, listenersOf } from "./ports.ts";

test("only sockets that listen on the port count, listenersOf", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 x 100 0 0 10 0
   1: 0100007F:192C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 x 100 0 0 10 0
   2: 0100007F:192B 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 333 1 x 100 0 0 10 0
   3: 01E2A8C0:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 x 100 0 0 10 0
`;
  assert.deepEqual(
    [listenersOf(table, 6443), listenersOf(table, 6443, "192.168.226.1"), listenersOf(table, 6443, "10.0.0.1")],
    [["111", "444"], ["111", "444"], ["111"]],
  );
});

test("a port that is held is refused with its holder, checkPorts", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    await assert.rejects(checkPorts("127.0.0.1", [port]), (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`^port ${port} is in use: process ${process.pid} \\(node .*\\) listens on it`),
      );
      return true;
    });
    server.close();
    await once(server, "close");
    await checkPorts("127.0.0.1", [port]);
  } finally {
    server.close();
  }
});
