// The node service as @grpc/grpc-js wants it, from the generated descriptors.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";
import {
  type AgentMessage,
  AgentMessageSchema,
  type Frame,
  FrameSchema,
  NodeService,
  type ServerMessage,
  ServerMessageSchema,
} from "./generated/node_pb.ts";

/** For `server.addService` and `client.makeBidiStreamRequest`. */
export const nodeServiceDefinition: {
  readonly session: MethodDefinition<AgentMessage, ServerMessage>;
  readonly stream: MethodDefinition<Frame, Frame>;
} = {
  session: bidi(NodeService.method.session.name, AgentMessageSchema, ServerMessageSchema),
  stream: bidi(NodeService.method.stream.name, FrameSchema, FrameSchema),
};

/** One server's streams to nodes for another server; what is asked for travels in the call's metadata. */
export const relayServiceDefinition: { readonly open: MethodDefinition<Frame, Frame> } = {
  open: { ...bidi("open", FrameSchema, FrameSchema), path: "/naru.node.v1.Relay/Open" },
};

/** Largest message either end takes; assignments are cut into parts far below. */
export const messageBytesMax = 8 * 1024 * 1024;

function bidi<I extends DescMessage, O extends DescMessage>(
  name: string,
  input: I,
  output: O,
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  return {
    path: `/${NodeService.typeName}/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => serialize(input, message),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (message) => serialize(output, message),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

function serialize<D extends DescMessage>(schema: D, message: MessageShape<D>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
