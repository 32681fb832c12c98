// The joint between the HTTP door and the nodes' sessions: what exec, attach, port-forward, logs and image work need from a node.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Frame, StreamOpen } from "../../proto/generated/node_pb.ts";
import type { Pod } from "../kinds/generated/types.ts";

/** What is asked of a node: logs, exec, attach, port-forward or image work. */
export type NodeRequest = Exclude<StreamOpen["request"], { readonly case: undefined }>;

/** One open stream to a node. Disposing it ends the stream on both sides, whatever its state. */
export interface NodeStream extends AsyncDisposable {
  /** From the node, read once; ends after the frame that carries `exit`. Throws ApiError when the node is lost. */
  readonly frames: AsyncIterable<Frame>;
  /**
   * To the node (stdin, stdin_end, resize); resolves when more may be sent, so that a slow node slows its writer. Rejects once the
   * stream has ended, whoever ended it.
   */
  send(frame: Frame): Promise<void>;
}

/** Implemented by api/sessions. */
export interface NodeStreams {
  /** Refuses with ApiError ("ServiceUnavailable" without a session, "Timeout" when the node does not answer). */
  open(node: string, request: NodeRequest, signal: AbortSignal): Promise<NodeStream>;
}

/** An authorized request to upgrade a connection for one pod; it is bound to a node and the container has been checked. */
export interface StreamUpgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** The first bytes after the request's head. */
  readonly head: Buffer;
  /** "exec", "attach" or "portforward". */
  readonly subresource: "exec" | "attach" | "portforward";
  readonly pod: Pod;
  /** The pod's node. */
  readonly node: string;
  /** For exec and attach: the container asked for, or the default one. Empty for port-forward. */
  readonly container: string;
  /** The request's query: command, stdin, stdout, stderr, tty, ports. */
  readonly query: URLSearchParams;
  /** Aborted when the server closes. */
  readonly signal: AbortSignal;
}

/** Implemented by api/streams over NodeStreams; the HTTP door is its only caller. */
export interface StreamBroker extends NodeStreams {
  /** Terminates WebSocket (v4/v5.channel.k8s.io, portforward) or SPDY/3.1 on the socket, which is the broker's from here on. */
  upgrade(upgrade: StreamUpgrade): Promise<void>;
}
