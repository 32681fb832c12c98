import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { openSpdy, type SpdyConnection } from "./spdy.ts";
import { controlFrame, dataFrame, flagFin, frameTypes, SpdyParser, type SpdyPiece } from "./spdy-frames.ts";
import { HeaderReader, HeaderWriter } from "./spdy-headers.ts";

interface Pair extends AsyncDisposable {
  readonly client: Socket;
  readonly connection: SpdyConnection;
}

/** A server's connection and the bare socket of its client. */
async function openPair(): Promise<Pair> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const client = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  const connection = openSpdy(socket);
  client.on("error", () => {});
  return {
    client,
    connection,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await connection[Symbol.asyncDispose]();
      server.close();
    },
  };
}

async function synStream(writer: HeaderWriter, id: number, headers: Record<string, string>): Promise<Buffer> {
  const block = await writer.write(headers);
  return controlFrame(frameTypes.synStream, 0, [id, 0], Buffer.concat([Buffer.alloc(2), block]));
}

/** What the server says until it hangs up. */
async function hear(client: Socket): Promise<readonly SpdyPiece[]> {
  const parser = new SpdyParser();
  const pieces: SpdyPiece[] = [];
  client.on("data", (chunk: Buffer) => pieces.push(...parser.push(chunk)));
  await once(client, "close");
  return pieces;
}

function summary(pieces: readonly SpdyPiece[]): readonly string[] {
  return pieces.map((piece) =>
    piece.kind === "data"
      ? `data ${piece.streamId} ${piece.data}${piece.fin ? " fin" : ""}`
      : `control ${piece.type} ${piece.payload.subarray(0, 4).toString("hex")}`,
  );
}

test("SpdyParser gives the same pieces however the bytes are cut", () => {
  const bytes = Buffer.concat([
    controlFrame(frameTypes.ping, 0, [1]),
    dataFrame(1, Buffer.from("hello"), false),
    dataFrame(3, Buffer.alloc(0), true),
    controlFrame(frameTypes.rstStream, 0, [3, 5]),
    dataFrame(1, Buffer.from("world"), true),
  ]);
  const joined = (chunks: readonly Buffer[]) => {
    const parser = new SpdyParser();
    let text = "";
    for (const chunk of chunks) {
      for (const piece of parser.push(chunk)) {
        text += piece.kind === "data" ? `${piece.data}${piece.fin ? "|" : ""}` : `<${piece.type}>`;
      }
    }
    return text;
  };
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      assert.equal(joined(chunks), "<6>hello|<3>world|");
    }),
  );
});

test("HeaderReader reads what HeaderWriter wrote, block after block", async () => {
  using writer = new HeaderWriter();
  using reader = new HeaderReader();
  const blocks = [{ streamType: "data", port: "80" }, {}, { streamtype: "error", requestid: "7", port: "80" }];
  const read = [];
  for (const block of blocks) read.push(await reader.read(await writer.write(block)));
  assert.deepEqual(read, [{ streamtype: "data", port: "80" }, {}, { streamtype: "error", requestid: "7", port: "80" }]);
});

test("HeaderReader refuses a block that grows beyond its bound, one of another dictionary, and one cut short", async () => {
  const outcomes: string[] = [];
  const bomb = new HeaderWriter();
  const blocks = [await bomb.write({ name: "x".repeat(10_000_000) }), deflateSync("x"), Buffer.from("no zlib at all")];
  for (const block of blocks) {
    using reader = new HeaderReader();
    outcomes.push(
      await reader.read(block).then(
        () => "read",
        (error) => String(error.message),
      ),
    );
  }
  bomb[Symbol.dispose]();
  assert.deepEqual(outcomes, [
    "header block of more than 65536 bytes",
    "header block ends early",
    "incorrect header check",
  ]);
});

test("openSpdy opens streams, answers pings, and keeps each direction's end apart", async () => {
  await using pair = await openPair();
  const { client, connection } = pair;
  using writer = new HeaderWriter();
  const heard = hear(client);
  client.write(await synStream(writer, 1, { streamType: "data" }));
  client.write(controlFrame(frameTypes.ping, 0, [9]));
  client.write(dataFrame(1, Buffer.from("question"), true));
  const seen: string[] = [];
  for await (const stream of connection.streams) {
    for await (const data of stream.input) seen.push(String(data));
    await stream.write(Buffer.from("answer"));
    stream.end();
    stream.end();
    break;
  }
  client.end();
  assert.deepEqual(
    [seen, summary(await heard)],
    [["question"], ["control 2 00000001", "control 6 00000009", "data 1 answer", "data 1  fin"]],
  );
});

test("openSpdy stops reading when a stream's data piles up unread, and goes on when it is read", async () => {
  await using pair = await openPair();
  const { client, connection } = pair;
  using writer = new HeaderWriter();
  client.write(await synStream(writer, 1, {}));
  const total = 64 * 1024 * 1024;
  let sent = 0;
  const pump = () => {
    const chunk = Buffer.alloc(64 * 1024);
    while (sent < total) {
      sent += chunk.length;
      if (!client.write(dataFrame(1, chunk, sent >= total))) return;
    }
  };
  client.on("drain", pump);
  pump();
  for await (const stream of connection.streams) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const stalledAt = sent;
    let read = 0;
    for await (const data of stream.input) read += data.length;
    assert.deepEqual([stalledAt < total / 2, read], [true, total]);
    break;
  }
});

test("openSpdy hangs up on what is not SPDY/3, on streams out of order and on frames beyond their bound", async () => {
  using writer = new HeaderWriter();
  const attacks: Readonly<Record<string, readonly Buffer[]>> = {
    "another version": [Buffer.from("8002000100000000", "hex")],
    "a huge control frame": [Buffer.from("8003000100ffffff", "hex")],
    "a short SYN_STREAM": [controlFrame(frameTypes.synStream, 0, [1])],
    "an even stream": [await synStream(writer, 2, {})],
    "bad compression": [controlFrame(frameTypes.synStream, 0, [1, 0], Buffer.from("xxxxxxxxxxxx"))],
  };
  const outcomes: Record<string, boolean> = {};
  for (const [name, chunks] of Object.entries(attacks)) {
    await using pair = await openPair();
    const heard = hear(pair.client);
    for (const chunk of chunks) pair.client.write(chunk);
    await heard;
    outcomes[name] = pair.connection.signal.aborted;
  }
  assert.deepEqual(outcomes, Object.fromEntries(Object.keys(attacks).map((name) => [name, true])));
});

test("openSpdy survives any bytes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await using pair = await openPair();
      const heard = hear(pair.client);
      pair.client.end(Buffer.concat([Buffer.from("8003000100", "hex"), bytes]));
      for await (const stream of pair.connection.streams) stream.reset();
      await heard;
    }),
    { numRuns: 50 },
  );
});

test("openSpdy ends a stream's input when the client resets it, and refuses more streams than its bound", async () => {
  await using pair = await openPair();
  const { client, connection } = pair;
  using writer = new HeaderWriter();
  const heard = hear(client);
  for (let i = 0; i <= 1000; i++) client.write(await synStream(writer, 2 * i + 1, {}));
  client.write(controlFrame(frameTypes.rstStream, 0, [1, 5]));
  client.write(controlFrame(frameTypes.ping, flagFin, [1]));
  let failure = "";
  for await (const stream of connection.streams) {
    try {
      for await (const _ of stream.input);
    } catch (error) {
      failure = String(error);
    }
    break;
  }
  client.end();
  const pieces = await heard;
  const resets = pieces.filter((piece) => piece.kind === "control" && piece.type === frameTypes.rstStream);
  assert.deepEqual([failure, summary(resets)], ["Error: the client reset the stream", ["control 3 000007d1"]]);
});
