// The server's end of a SPDY/3.1 connection, as Kubernetes clients speak it for exec, attach and port-forward.
// Those clients neither keep nor send flow-control windows, so the connection itself is what slows a writer: a stream that nobody reads
// may hold so many bytes, then nothing more is read off the connection.
import type { Duplex } from "node:stream";
import { type Inbox, openInbox } from "./inbox.ts";
import { controlFrame, dataFrame, flagFin, frameTypes, resetCodes, SpdyParser, type SpdyPiece } from "./spdy-frames.ts";
import { HeaderReader, HeaderWriter, type SpdyHeaders } from "./spdy-headers.ts";

export interface SpdyStream {
  readonly id: number;
  readonly headers: SpdyHeaders;
  /** What the client sends, read once; ends with its half, throws when it reset the stream or the connection broke. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Resolves when the connection takes more. Rejects once the stream or the connection is gone. */
  write(data: Uint8Array): Promise<void>;
  /** Ends this direction; again: nothing. */
  end(): void;
  /** Ends both directions at once. */
  reset(): void;
}

export interface SpdyConnection extends AsyncDisposable {
  /** Streams that the client opens, in order; ends with the connection. */
  readonly streams: AsyncIterable<SpdyStream>;
  /** Aborted when the connection is over. */
  readonly signal: AbortSignal;
}

const streamsMax = 1000;
const unreadBytesMax = 256 * 1024;
const frameBytesMax = 32 * 1024;
/** How long the client may take to read the last bytes. */
const lingerMs = 5000;

export function openSpdy(socket: Duplex): SpdyConnection {
  const parser = new SpdyParser();
  const reader = new HeaderReader();
  const writer = new HeaderWriter();
  const over = new AbortController();
  const streams = new Map<number, OpenStream>();
  const opened = openInbox<SpdyStream>();
  let lastStreamId = 0;

  const finish = (error: Error) => {
    if (over.signal.aborted) return;
    over.abort(error);
    for (const stream of streams.values()) stream.inbox.fail(error);
    streams.clear();
    opened.end();
    reader[Symbol.dispose]();
    writer[Symbol.dispose]();
  };

  const send = async (frame: Buffer): Promise<void> => {
    over.signal.throwIfAborted();
    if (socket.write(frame)) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        socket.off("drain", settle);
        over.signal.removeEventListener("abort", settle);
        resolve();
      };
      socket.once("drain", settle);
      over.signal.addEventListener("abort", settle, { once: true });
    });
    over.signal.throwIfAborted();
  };
  // For answers that nobody waits for.
  const post = (frame: Buffer) => {
    if (!over.signal.aborted) socket.write(frame);
  };

  const forget = (stream: OpenStream) => {
    if (stream.ended && stream.inbox.ended) streams.delete(stream.id);
  };

  const openStream = async (flags: number, payload: Buffer): Promise<void> => {
    if (payload.length < 10) throw new Error("SYN_STREAM is too short");
    const id = payload.readUInt32BE(0) & 0x7fff_ffff;
    // Even a refused stream's headers pass through the shared compression.
    const headers = await reader.read(payload.subarray(10));
    if (id % 2 === 0 || id <= lastStreamId) throw new Error(`client may not open stream ${id}`);
    lastStreamId = id;
    if (streams.size >= streamsMax) {
      post(controlFrame(frameTypes.rstStream, 0, [id, resetCodes.refusedStream]));
      return;
    }
    const stream: OpenStream = { id, ended: false, inbox: openInbox<Uint8Array>() };
    streams.set(id, stream);
    if ((flags & flagFin) !== 0) stream.inbox.end();
    post(controlFrame(frameTypes.synReply, 0, [id], await writer.write({})));
    opened.put(face(stream, headers));
  };

  const face = (stream: OpenStream, headers: SpdyHeaders): SpdyStream => ({
    id: stream.id,
    headers,
    input: stream.inbox.read(),
    write: async (data) => {
      for (let offset = 0; offset < data.length; offset += frameBytesMax) {
        if (stream.ended) throw new Error("the stream has ended");
        await send(dataFrame(stream.id, data.subarray(offset, offset + frameBytesMax), false));
      }
    },
    end: () => {
      if (stream.ended) return;
      stream.ended = true;
      post(dataFrame(stream.id, new Uint8Array(), true));
      forget(stream);
    },
    reset: () => {
      if (!streams.delete(stream.id)) return;
      stream.ended = true;
      stream.inbox.fail(new Error("the stream was reset"));
      post(controlFrame(frameTypes.rstStream, 0, [stream.id, resetCodes.cancel]));
    },
  });

  const handle = async (piece: SpdyPiece): Promise<void> => {
    if (piece.kind === "data") {
      const stream = streams.get(piece.streamId);
      if (stream === undefined) return; // it has ended on this side
      if (piece.data.length > 0) stream.inbox.put(piece.data);
      if (piece.fin) stream.inbox.end();
      forget(stream);
      await stream.inbox.roomFor(unreadBytesMax);
      return;
    }
    const { type, flags, payload } = piece;
    switch (type) {
      case frameTypes.synStream:
        await openStream(flags, payload);
        return;
      case frameTypes.headers:
        if (payload.length < 4) throw new Error("HEADERS is too short");
        await reader.read(payload.subarray(4));
        return;
      case frameTypes.rstStream: {
        const id = payload.length < 4 ? 0 : payload.readUInt32BE(0);
        const stream = streams.get(id);
        if (stream === undefined) return;
        streams.delete(id);
        stream.ended = true;
        stream.inbox.fail(new Error("the client reset the stream"));
        return;
      }
      case frameTypes.ping: {
        const id = payload.length < 4 ? 0 : payload.readUInt32BE(0);
        // Odd ones are the client's own; an even one would answer ours.
        if (id % 2 === 1) post(controlFrame(frameTypes.ping, 0, [id]));
        return;
      }
      default:
        return; // SETTINGS, WINDOW_UPDATE, GOAWAY, SYN_REPLY: nothing to do; the client closes after its GOAWAY
    }
  };

  const run = async () => {
    try {
      for await (const chunk of socket) {
        // After our goodbye it is read to its end all the same: a connection closed on unread bytes would take our last ones along.
        if (over.signal.aborted) continue;
        for (const piece of parser.push(chunk)) if (!over.signal.aborted) await handle(piece);
      }
      finish(new Error("the client hung up"));
    } catch (cause) {
      post(controlFrame(frameTypes.goaway, 0, [lastStreamId, 1]));
      finish(new Error("the client's connection broke", { cause }));
    } finally {
      socket.end();
    }
  };

  socket.on("error", finish);
  socket.on("close", () => finish(new Error("the client's connection is closed")));
  void run();

  return {
    streams: opened.read(),
    signal: over.signal,
    [Symbol.asyncDispose]: async () => {
      if (socket.destroyed) return;
      if (!over.signal.aborted) post(controlFrame(frameTypes.goaway, 0, [lastStreamId, 0]));
      finish(new Error("the stream has ended"));
      await closeGently(socket);
    },
  };
}

/** Waits until the last bytes are out and the client has hung up, but not for ever. */
async function closeGently(socket: Duplex): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end();
  });
}

interface OpenStream {
  readonly id: number;
  /** This side has ended. */
  ended: boolean;
  readonly inbox: Inbox<Uint8Array>;
}
