// What carries a node session: gRPC for real, memory in tests and in the simulator. Both ends speak in protobuf message objects.
import type { AgentMessage, Frame, ServerMessage } from "./generated/node_pb.ts";

/** One end of a session, on which messages of type `Out` go away. */
export interface Link<Out> {
  /** Never blocks and never throws; a closed link drops it. */
  send(message: Out): void;
  /** True while the other side reads slower than this one sends: wait for `onDrain` with what can wait. */
  readonly congested: boolean;
  /** The other side hears the reason; this side's `onClose` is not called any more. */
  close(reason: string): void;
}

/** Called back from the transport, never from inside of a call to it. */
export interface LinkEvents<In> {
  onMessage(message: In): void;
  onDrain(): void;
  /** Once, last: the other side closed, or the connection broke. */
  onClose(reason: string): void;
}

/** One end of a log, exec, attach, port-forward or image stream, with backpressure both ways. */
export interface FramePipe {
  /** Read once. Ends when the other side has ended its direction; throws when the stream broke. */
  readonly frames: AsyncIterable<Frame>;
  /** Resolves when more may be sent. Rejects when the stream is gone. */
  send(frame: Frame): Promise<void>;
  /** Ends this direction after what was sent. */
  end(): void;
  /** Breaks the stream in both directions at once. */
  abort(reason: string): void;
  /** Aborted when the stream is over, whoever ended it. */
  readonly signal: AbortSignal;
}

/** The agent's end of a connection: a session, and streams to the same server. */
export interface AgentLink extends Link<AgentMessage> {
  openStream(): FramePipe;
}

/** How an agent reaches servers. */
export interface SessionTransport {
  /** Dials the next server. A failure to connect comes as `onClose`. */
  connect(events: LinkEvents<ServerMessage>): AgentLink;
}

/** What a server does with agents that reached it; `node` is the name in the client's certificate. */
export interface SessionHost {
  acceptSession(node: string, link: Link<ServerMessage>): LinkEvents<AgentMessage>;
  acceptStream(node: string, pipe: FramePipe): void;
}
