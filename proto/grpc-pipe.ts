// A gRPC call as a FramePipe, the same at both ends: pulled frames and awaited writes, so that a slow reader slows its writer.
import type { ClientDuplexStream, ServerDuplexStream } from "@grpc/grpc-js";
import type { Frame } from "./generated/node_pb.ts";
import type { FramePipe } from "./transport.ts";

type FrameCall = ClientDuplexStream<Frame, Frame> | ServerDuplexStream<Frame, Frame>;

/** `cancel` breaks the call at once; what it throws away is not sent. */
export function grpcPipe(call: FrameCall, cancel: (reason: string) => void): FramePipe {
  const over = new AbortController();
  const finish = (reason: string) => {
    if (!over.signal.aborted) over.abort(new Error(reason));
  };
  // Without a listener an error would end the process; readers and writers get it from their own calls.
  call.on("error", (error: Error) => finish(error.message));
  call.on("cancelled", () => {
    finish("the other side went away");
    call.destroy();
  });
  call.on("close", () => finish("the stream has ended"));
  // The client's end of a call is over with its status, even when its reader never saw the end.
  call.on("status", () => finish("the stream has ended"));
  return {
    frames: read(call),
    send: (frame) => write(call, frame, over.signal),
    end: () => {
      if (!over.signal.aborted) call.end();
    },
    abort: (reason) => {
      if (over.signal.aborted) return;
      finish(reason);
      cancel(reason);
    },
    signal: over.signal,
  };
}

async function* read(call: FrameCall): AsyncGenerator<Frame> {
  // Leaving early must not destroy the other direction.
  for await (const frame of call.iterator({ destroyOnReturn: false })) yield frame as Frame;
}

function write(call: FrameCall, frame: Frame, over: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (over.aborted || call.destroyed || call.writableEnded) {
      reject(over.reason ?? new Error("sent after the end"));
      return;
    }
    if (call.write(frame)) {
      resolve();
      return;
    }
    const settle = () => {
      call.off("drain", settle);
      over.removeEventListener("abort", settle);
      if (over.aborted) reject(over.reason);
      else resolve();
    };
    call.once("drain", settle);
    over.addEventListener("abort", settle, { once: true });
  });
}
