// Streams that the server asks for (logs, exec, attach, port-forward, images): opens each, gives it to the agent's handler, ends it.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Logger } from "../lib/log.ts";
import { type Frame, FrameSchema, type StreamOpen } from "../proto/generated/node_pb.ts";
import type { FramePipe } from "../proto/transport.ts";
import type { StreamEnd, StreamHandler, StreamInput, StreamOutput } from "./session-types.ts";

export interface SessionStreams {
  open(request: StreamOpen, dial: () => FramePipe): void;
  /** The user of this stream went away. */
  close(streamId: string): void;
  /** Ends all: the agent stops. */
  closeAll(): void;
}

const streamsMax = 256;
/** Larger pieces are cut, so that one stream never holds much memory. */
const frameBytesMax = 64 * 1024;

export function openSessionStreams(onStream: StreamHandler, log: Logger): SessionStreams {
  const open = new Map<string, { readonly pipe: FramePipe; readonly abort: AbortController }>();
  return {
    open: (request, dial) => {
      const { streamId } = request;
      if (streamId === "" || open.has(streamId)) return; // told twice
      const pipe = dial();
      const abort = new AbortController();
      const handler: StreamHandler =
        open.size < streamsMax
          ? onStream
          : async () => ({ exitCode: 1, error: `the node serves ${streamsMax} streams already` });
      open.set(streamId, { pipe, abort });
      void serve(request, pipe, { handler, abort })
        .catch((error) => log.debug({ streamId, error: messageOf(error) }, "stream broke"))
        .finally(() => open.delete(streamId));
    },
    close: (streamId) => {
      const stream = open.get(streamId);
      stream?.abort.abort(new Error("the client went away"));
      stream?.pipe.abort("the client went away");
    },
    closeAll: () => {
      for (const { pipe, abort } of open.values()) {
        abort.abort(new Error("the agent stops"));
        pipe.abort("the agent stops");
      }
    },
  };
}

async function serve(
  { streamId, request }: StreamOpen,
  pipe: FramePipe,
  { handler, abort }: { handler: StreamHandler; abort: AbortController },
): Promise<void> {
  const signal = AbortSignal.any([abort.signal, pipe.signal]);
  try {
    await pipe.send(create(FrameSchema, { streamId }));
    const end = await handler({
      request,
      input: inputs(pipe),
      send: async (output) => {
        for (const frame of outputFrames(output)) await pipe.send(frame);
      },
      signal,
    }).catch((error): StreamEnd => ({ exitCode: 1, error: messageOf(error) }));
    await pipe.send(frameOf({ case: "exit", value: { exitCode: end.exitCode, error: end.error } }));
    pipe.end();
  } catch (error) {
    pipe.abort(messageOf(error));
    throw error;
  } finally {
    // A handler that returned early may have left readers of its input behind.
    abort.abort(new Error("the stream has ended"));
  }
}

async function* inputs(pipe: FramePipe): AsyncGenerator<StreamInput> {
  for await (const { content } of pipe.frames) {
    if (content.case === "stdin") yield { type: "stdin", data: content.value };
    else if (content.case === "stdinEnd") yield { type: "stdinEnd" };
    else if (content.case === "resize") {
      yield { type: "resize", columns: content.value.columns, rows: content.value.rows };
    }
  }
}

function* outputFrames(output: StreamOutput): Generator<Frame> {
  for (let offset = 0; offset < output.data.length; offset += frameBytesMax) {
    yield frameOf({
      case: output.type,
      value: output.data.subarray(offset, offset + frameBytesMax) as Uint8Array<ArrayBuffer>,
    });
  }
}

function frameOf(content: NonNullable<MessageInitShape<typeof FrameSchema>["content"]>): Frame {
  return create(FrameSchema, { content });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
