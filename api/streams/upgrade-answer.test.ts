// Clients that leave, or stay, while their connection is being upgraded.
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { ApiError } from "../kinds/status.ts";
import { refuseUpgrade } from "./upgrade-answer.ts";
import { acceptWebSocket } from "./websocket.ts";

function openSocket(): { readonly socket: Duplex; readonly written: () => string } {
  let written = "";
  const socket = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  return { socket, written: () => written };
}

test("refuseUpgrade does not keep a connection whose client does not end it", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { socket, written } = openSocket();
  refuseUpgrade(socket, new ApiError("Forbidden", "not you"));
  const before = socket.destroyed;
  t.mock.timers.tick(5000);
  assert.deepEqual([before, socket.destroyed], [false, true]);
  assert.match(written(), /^HTTP\/1\.1 403 Forbidden\r\nConnection: close\r\n.*"message":"not you"/s);
});

test("acceptWebSocket rejects when the client left in the middle of the handshake", async () => {
  const { socket } = openSocket();
  socket.resume().push(null);
  await new Promise((resolve) => socket.once("end", resolve));
  const key = Buffer.alloc(16).toString("base64");
  const headers = { upgrade: "websocket", "sec-websocket-key": key, "sec-websocket-version": "13" };
  const request = { method: "GET", url: "/", headers } as unknown as IncomingMessage;
  await assert.rejects(acceptWebSocket({ request, socket, head: Buffer.alloc(0) }, ""), /the client is gone/);
});
