// exec and attach between a client's channels and a node's stream, whatever protocol carries the channels.
import { create } from "@bufbuild/protobuf";
import { type Exit, type Frame, FrameSchema } from "../../proto/generated/node_pb.ts";
import type { NodeStream } from "../http/stream-broker.ts";
import type { Status } from "../kinds/generated/types.ts";
import { exitStatus, internalError } from "./exit-status.ts";

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The client's side. */
export interface RemoteChannels {
  /** What the client types and how its terminal changes, in order; ends when the client closes its stdin or goes away. */
  readonly input: AsyncIterable<RemoteInput>;
  /** Resolves when the client takes more. */
  write(channel: "stdout" | "stderr", data: Uint8Array): Promise<void>;
  /** Last: how it ended. */
  finish(status: Status): Promise<void>;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

export type RemoteInput =
  | { readonly type: "stdin"; readonly data: Uint8Array }
  | { readonly type: "stdinEnd" }
  | ({ readonly type: "resize" } & TerminalSize);

/** Runs to the command's end, or until the client or the node is gone. */
export async function joinRemoteCommand(
  subresource: "exec" | "attach",
  channels: RemoteChannels,
  stream: NodeStream,
): Promise<void> {
  const leave = () => void stream[Symbol.asyncDispose]();
  channels.signal.addEventListener("abort", leave, { once: true });
  if (channels.signal.aborted) leave();
  const typing = sendInput(channels.input, stream).catch(() => {}); // its end is told by the node's last frame
  try {
    const exit = await writeOutput(channels, stream);
    await channels.finish(exitStatus(subresource, exit));
  } catch (error) {
    if (channels.signal.aborted) return;
    await channels.finish(internalError(error instanceof Error ? error.message : String(error)));
  } finally {
    channels.signal.removeEventListener("abort", leave);
    await stream[Symbol.asyncDispose]();
    // The input ends with the client's connection; whoever owns that waits for it.
    void typing;
  }
}

async function sendInput(input: AsyncIterable<RemoteInput>, stream: NodeStream): Promise<void> {
  for await (const piece of input) await stream.send(frameOf(piece));
}

async function writeOutput(channels: RemoteChannels, stream: NodeStream): Promise<Exit> {
  for await (const { content } of stream.frames) {
    if (content.case === "stdout" || content.case === "stderr") await channels.write(content.case, content.value);
    else if (content.case === "exit") return content.value;
  }
  throw new Error("the node ended the stream without saying how");
}

function frameOf(piece: RemoteInput): Frame {
  switch (piece.type) {
    case "stdin":
      return create(FrameSchema, { content: { case: "stdin", value: piece.data as Uint8Array<ArrayBuffer> } });
    case "stdinEnd":
      return create(FrameSchema, { content: { case: "stdinEnd", value: true } });
    case "resize":
      return create(FrameSchema, {
        content: {
          case: "resize",
          value: { columns: piece.columns, rows: piece.rows, $typeName: "naru.node.v1.Resize" },
        },
      });
  }
}

/** Terminal sizes as clients write them: JSON objects, one after another. Anything else is passed over. */
export function* parseSizes(text: string): Generator<TerminalSize> {
  for (const match of text.matchAll(/\{[^{}]*\}/g)) {
    try {
      const { Width: columns, Height: rows } = JSON.parse(match[0]) as { Width?: unknown; Height?: unknown };
      if (isSize(columns) && isSize(rows)) yield { columns, rows };
    } catch {
      // not a size
    }
  }
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff;
}
