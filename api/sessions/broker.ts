// Streams to nodes: asks the agent over its session to dial one, and joins the call that comes with the request that waits.
import { create } from "@bufbuild/protobuf";
import { type Clock, timestamp } from "../../lib/clock.ts";
import type { Random } from "../../lib/random.ts";
import {
  type Frame,
  type ServerMessage,
  ServerMessageSchema,
  StreamOpenSchema,
} from "../../proto/generated/node_pb.ts";
import type { FramePipe, Link } from "../../proto/transport.ts";
import type { NodeRequest, NodeStream, NodeStreams } from "../http/stream-broker.ts";
import { ApiError } from "../kinds/status.ts";

export interface NodeBroker extends NodeStreams {
  /** A call of an agent; its first frame names the request. */
  acceptStream(node: string, pipe: FramePipe): void;
  /** Of all nodes. */
  readonly streams: number;
  close(): void;
}

export interface BrokerParts {
  readonly clock: Clock;
  readonly random: Random;
  /** The node's session, or since when it has none (ms since the epoch; undefined: never seen). */
  readonly session: (node: string) => { readonly link: Link<ServerMessage> } | { readonly sinceMs: number | undefined };
}

/** How long an agent may take to dial, and to name its stream. */
const answerMsMax = 5000;
const streamsPerNodeMax = 250;

interface Waiting {
  readonly node: string;
  readonly take: (pipe: FramePipe, frames: AsyncIterator<Frame>) => void;
}

export function openBroker({ clock, random, session }: BrokerParts): NodeBroker {
  const waiting = new Map<string, Waiting>();
  const counts = new Map<string, number>();
  const pipes = new Set<FramePipe>();

  const count = (node: string, change: 1 | -1) => {
    const next = (counts.get(node) ?? 0) + change;
    if (next === 0) counts.delete(node);
    else counts.set(node, next);
  };

  const ask = (node: string, link: Link<ServerMessage>, request: NodeRequest, signal: AbortSignal) =>
    new Promise<{ streamId: string; pipe: FramePipe; frames: AsyncIterator<Frame> }>((resolve, reject) => {
      const streamId = randomId(random);
      const settle = (finish: () => void) => {
        waiting.delete(streamId);
        timer.cancel();
        signal.removeEventListener("abort", onAbort);
        finish();
      };
      const onAbort = () => {
        settle(() => reject(signal.reason));
        sendClose(link, streamId);
      };
      const timer = clock.after(answerMsMax, () => {
        const message = `node "${node}" did not open the stream within ${answerMsMax / 1000} s`;
        settle(() => reject(new ApiError("Timeout", message)));
        sendClose(link, streamId);
      });
      waiting.set(streamId, { node, take: (pipe, frames) => settle(() => resolve({ streamId, pipe, frames })) });
      signal.addEventListener("abort", onAbort, { once: true });
      const value = create(StreamOpenSchema, { streamId, request });
      link.send(create(ServerMessageSchema, { message: { case: "streamOpen", value } }));
    });

  return {
    open: async (node, request, signal) => {
      signal.throwIfAborted();
      const found = session(node);
      if (!("link" in found)) throw new ApiError("ServiceUnavailable", notConnected(node, found.sinceMs));
      if ((counts.get(node) ?? 0) >= streamsPerNodeMax) {
        throw new ApiError("TooManyRequests", `node "${node}" serves ${streamsPerNodeMax} streams already`);
      }
      count(node, 1);
      try {
        const { streamId, pipe, frames } = await ask(node, found.link, request, signal);
        pipe.signal.addEventListener("abort", () => count(node, -1), { once: true });
        if (pipe.signal.aborted) count(node, -1);
        return joinStream({ node, pipe, frames, onLeft: () => sendClose(found.link, streamId), signal });
      } catch (error) {
        count(node, -1);
        throw error;
      }
    },
    acceptStream: (node, pipe) => {
      pipes.add(pipe);
      pipe.signal.addEventListener("abort", () => pipes.delete(pipe), { once: true });
      const timer = clock.after(answerMsMax, () => pipe.abort("the first frame must name a stream"));
      const frames = pipe.frames[Symbol.asyncIterator]();
      frames
        .next()
        .then((first) => {
          const request = first.done === true ? undefined : waiting.get(first.value.streamId);
          // Another node's request is none of its business.
          if (request?.node !== node) pipe.abort("nobody waits for this stream");
          else request.take(pipe, frames);
        })
        .catch(() => pipe.abort("the stream broke"))
        .finally(() => timer.cancel());
    },
    get streams() {
      return pipes.size;
    },
    close: () => {
      for (const pipe of pipes) pipe.abort("the server stops");
    },
  };
}

function notConnected(node: string, sinceMs: number | undefined): string {
  return sinceMs === undefined
    ? `node "${node}" is not connected: it has not dialled in since this server started`
    : `node "${node}" is not connected since ${timestamp(sinceMs)}`;
}

interface Joined {
  readonly node: string;
  readonly pipe: FramePipe;
  readonly frames: AsyncIterator<Frame>;
  /** The user went before the node was done. */
  readonly onLeft: () => void;
  readonly signal: AbortSignal;
}

export function joinStream({ node, pipe, frames, onLeft, signal }: Joined): NodeStream {
  let finished = false;
  const lost = (cause?: unknown) =>
    new ApiError("ServiceUnavailable", `node "${node}" was lost in the middle of the stream`, { cause });
  const leave = () => {
    signal.removeEventListener("abort", leave);
    if (finished) {
      pipe.end();
      return;
    }
    finished = true;
    onLeft();
    pipe.abort("the client went away");
  };
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();

  async function* read(): AsyncGenerator<Frame> {
    for (;;) {
      const next = await frames.next().catch((error) => {
        throw signal.aborted ? signal.reason : lost(error);
      });
      if (next.done === true) throw signal.aborted ? signal.reason : lost();
      const isLast = next.value.content.case === "exit";
      if (isLast) finished = true;
      yield next.value;
      if (isLast) return;
    }
  }

  return {
    frames: read(),
    send: async (frame) => {
      // What comes after the end has no reader: rejected, so that whoever pumps stops.
      if (finished) throw new Error("the stream has ended");
      await pipe.send(frame).catch((error) => {
        throw finished ? new Error("the stream has ended", { cause: error }) : lost(error);
      });
    },
    [Symbol.asyncDispose]: async () => leave(),
  };
}

function sendClose(link: Link<ServerMessage>, streamId: string): void {
  const value = { $typeName: "naru.node.v1.StreamClose" as const, streamId };
  link.send(create(ServerMessageSchema, { message: { case: "streamClose", value } }));
}

// Unguessable, so that no other agent can take the stream: 128 bits.
function randomId(random: Random): string {
  return Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, "0")).join("");
}
