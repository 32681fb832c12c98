// Names of containers, asked for in one go.
import { deepEqual } from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { decode, encode } from "dns-packet";
import { silentLogger } from "../../../lib/log.ts";
import { freePort } from "../../../test/registry.ts";
import { framed } from "../../network/dns-forward.ts";
import { openNamesServer } from "./names-server.ts";

const neighbours = {
  lookUp: (name: string) => (name === "db" ? ["172.18.0.2"] : undefined),
  reverse: () => undefined,
  mayForward: () => false,
  forwardFor: () => async () => undefined,
};

test("openNamesServer answers every query that comes in one piece over TCP", async () => {
  const port = await freePort();
  const server = openNamesServer({ neighbours, log: silentLogger, port });
  await server.open("127.0.0.1");
  const socket = connect(port, "127.0.0.1");
  try {
    const queries = ["db", "web", "db"].map((name, id) =>
      framed(encode({ type: "query", id, flags: 0x0100, questions: [{ name, type: "A" }] })),
    );
    socket.write(Buffer.concat(queries));
    const answers: unknown[] = [];
    let received: Buffer = Buffer.alloc(0);
    for await (const part of socket) {
      received = Buffer.concat([received, part as Buffer]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const { id, rcode, answers: found = [] } = decode(received.subarray(2, 2 + received.readUInt16BE(0)));
        received = received.subarray(2 + received.readUInt16BE(0));
        answers.push([id, rcode, found.map((answer) => ("data" in answer ? answer.data : undefined))]);
      }
      if (answers.length === queries.length) break;
    }
    deepEqual(answers, [
      [0, "NOERROR", ["172.18.0.2"]],
      [1, "NXDOMAIN", []],
      [2, "NOERROR", ["172.18.0.2"]],
    ]);
  } finally {
    socket.destroy();
    await server.closeAll();
  }
});
