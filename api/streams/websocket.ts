// WebSocket connections of exec, attach and port-forward: each message starts with its channel.
// Source: Kubernetes, k8s.io/apimachinery/pkg/util/remotecommand constants and KEP-4006 (v5: a close signal for one channel).
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { ApiError } from "../kinds/status.ts";
import { listOf, refuseUpgrade } from "./upgrade-answer.ts";

export interface ChannelMessage {
  readonly channel: number;
  readonly data: Buffer;
}

export interface ChannelSocket {
  /** Read once; ends when the client closes. Not read off the connection faster than here. */
  readonly messages: AsyncIterable<ChannelMessage>;
  /** Resolves when it is on its way. */
  send(channel: number, data: Uint8Array): Promise<void>;
  close(code: number, reason: string): void;
  readonly signal: AbortSignal;
}

/** Of one message; kubectl's are at most 32 KiB. */
const messageBytesMax = 4 * 1024 * 1024;
const unreadBytesMax = 1024 * 1024;

/** The first of `supported` that the client offers; "" when it offers none at all, undefined when none of them fits. */
export function agreeOnProtocol(request: IncomingMessage, supported: readonly string[]): string | undefined {
  const offered = listOf(request.headers["sec-websocket-protocol"]);
  if (offered.length === 0) return "";
  return supported.find((protocol) => offered.includes(protocol));
}

/** Completes the handshake. Rejects when the client is refused or gone. */
export function acceptWebSocket(
  upgrade: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
  protocol: string,
): Promise<WebSocket> {
  const { request, socket, head } = upgrade;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: messageBytesMax,
    perMessageDeflate: false,
  });
  if (protocol !== "") server.on("headers", (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol}`));
  // The library takes "SPDY/3.1+portforward.k8s.io" for no token, and a token is what it may be: the choice stays out of its sight.
  const { "sec-websocket-protocol": _, ...headers } = request.headers;
  const plain: IncomingMessage = Object.create(request, { headers: { value: headers } });
  return new Promise((resolve, reject) => {
    // The library does not say so of a connection that is half closed: it destroys it.
    const leave = () => reject(new Error("the client is gone"));
    socket.once("close", leave);
    server.once("wsClientError", (error) => {
      const refusal = new ApiError("BadRequest", error.message);
      refuseUpgrade(socket, refusal);
      reject(refusal);
    });
    server.handleUpgrade(plain, socket, head, (accepted) => {
      socket.off("close", leave);
      resolve(accepted);
    });
  });
}

/** `base64`: channel as a digit and data as base64, in text messages. */
export function openChannels(socket: WebSocket, encoding: "binary" | "base64"): ChannelSocket {
  const over = new AbortController();
  const unread: ChannelMessage[] = [];
  let unreadBytes = 0;
  let wake = () => {};
  socket.on("message", (raw: RawData) => {
    const message = decode(raw as Buffer, encoding);
    if (message === undefined) return;
    unread.push(message);
    unreadBytes += message.data.length;
    if (unreadBytes > unreadBytesMax) socket.pause();
    wake();
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => {
    over.abort(new Error("the client closed the connection"));
    wake();
  });

  async function* read(): AsyncGenerator<ChannelMessage> {
    for (;;) {
      const message = unread.shift();
      if (message !== undefined) {
        unreadBytes -= message.data.length;
        if (socket.isPaused && unreadBytes <= unreadBytesMax) socket.resume();
        yield message;
      } else if (over.signal.aborted) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  return {
    messages: read(),
    send: (channel, data) =>
      new Promise((resolve, reject) => {
        const message = encode(channel, data, encoding);
        socket.send(message, (error) => {
          if (error == null) resolve();
          else reject(new Error("the client is gone", { cause: error }));
        });
      }),
    close: (code, reason) => {
      socket.resume();
      socket.close(code, reason);
    },
    signal: over.signal,
  };
}

function decode(raw: Buffer, encoding: "binary" | "base64"): ChannelMessage | undefined {
  const channel = raw[0];
  if (channel === undefined) return undefined;
  const data = raw.subarray(1);
  if (encoding === "binary") return { channel, data };
  return { channel: channel - 0x30, data: Buffer.from(data.toString("latin1"), "base64") };
}

function encode(channel: number, data: Uint8Array, encoding: "binary" | "base64"): Buffer | string {
  if (encoding === "base64") return `${channel}${Buffer.from(data).toString("base64")}`;
  return Buffer.concat([Buffer.of(channel), data]);
}
