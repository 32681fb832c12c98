// One forwarded connection between a client's pair of streams and a node's stream.
import { create } from "@bufbuild/protobuf";
import { FrameSchema, PortForwardRequestSchema } from "../../proto/generated/node_pb.ts";
import type { NodeStreams } from "../http/stream-broker.ts";

export interface ForwardedConnection {
  readonly port: number;
  /** From the client; ends when it has no more to say. */
  readonly input: AsyncIterable<Uint8Array>;
  write(data: Uint8Array): Promise<void>;
  /** Ends the data direction to the client. */
  end(): void;
  /** Why it failed, on the error stream, which it ends; undefined: it did not. */
  finish(error: string | undefined): Promise<void>;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

export interface ForwardTarget {
  readonly streams: NodeStreams;
  readonly node: string;
  readonly podName: string;
  readonly podUid: string;
}

/** Runs until both sides have ended or one is gone; never rejects. */
export async function forwardConnection(target: ForwardTarget, connection: ForwardedConnection): Promise<void> {
  const { streams, node, podName, podUid } = target;
  const { port, signal } = connection;
  let failure: string | undefined;
  try {
    const value = create(PortForwardRequestSchema, { podUid, port });
    await using stream = await streams.open(node, { case: "portForward", value }, signal);
    const sending = (async () => {
      for await (const data of connection.input) {
        await stream.send(create(FrameSchema, { content: { case: "stdin", value: data as Uint8Array<ArrayBuffer> } }));
      }
      await stream.send(create(FrameSchema, { content: { case: "stdinEnd", value: true } }));
    })();
    sending.catch(() => {}); // its end is told by the node's last frame
    for await (const { content } of stream.frames) {
      if (content.case === "stdout") await connection.write(content.value);
      else if (content.case === "exit") {
        if (content.value.error !== "") failure = content.value.error;
        break;
      }
    }
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  if (signal.aborted) return;
  connection.end();
  await connection
    .finish(
      failure === undefined ? undefined : `error forwarding port ${port} to pod ${podName}, uid ${podUid}: ${failure}`,
    )
    .catch(() => {});
}
