// Streams to nodes through the server that has their sessions: another server of the same cluster asks for one, over mutual TLS.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ClientDuplexStream,
  Metadata,
  makeGenericClientConstructor,
  type ServerDuplexStream,
  type ServiceClientConstructor,
  type ServiceDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { type Frame, StreamOpenSchema } from "../../proto/generated/node_pb.ts";
import { relayServiceDefinition } from "../../proto/grpc.ts";
import { type ClientCredentials, dialArguments } from "../../proto/grpc-client.ts";
import { grpcPipe } from "../../proto/grpc-pipe.ts";
import type { NodeRequest, NodeStream, NodeStreams } from "../http/stream-broker.ts";
import type { Status } from "../kinds/generated/types.ts";
import { ApiError, errorFromStatus } from "../kinds/status.ts";
import { joinStream } from "./broker.ts";
import { failCall } from "./fail-call.ts";

/** What a call asks for travels beside it. */
const nodeKey = "naru-node";
const requestKey = "naru-request-bin";

/** At the server that leads: joins a call with the node's stream. Never rejects. */
export async function serveRelay(call: ServerDuplexStream<Frame, Frame>, streams: NodeStreams): Promise<void> {
  const pipe = grpcPipe(call, (reason) => failCall(call, status.CANCELLED, reason));
  try {
    const { node, request } = askedFor(call.metadata);
    await using stream = await streams.open(node, request, pipe.signal);
    // The answer's head says that the stream stands.
    call.sendMetadata(new Metadata());
    const sending = (async () => {
      for await (const frame of pipe.frames) await stream.send(frame);
    })().catch(() => {});
    for await (const frame of stream.frames) await pipe.send(frame);
    pipe.end();
    await sending;
  } catch (error) {
    if (pipe.signal.aborted) return;
    const refusal = error instanceof ApiError ? error : new ApiError("InternalError", String(error), { cause: error });
    failCall(call, status.ABORTED, JSON.stringify(refusal.toStatus()));
  }
}

function askedFor(metadata: Metadata): { readonly node: string; readonly request: NodeRequest } {
  const [node] = metadata.get(nodeKey);
  const [bytes] = metadata.get(requestKey);
  const request = typeof bytes === "string" || bytes === undefined ? undefined : fromBinary(StreamOpenSchema, bytes);
  if (typeof node !== "string" || request?.request.case === undefined)
    throw new ApiError("BadRequest", "the call names no node, or asks nothing of it");
  return { node, request: request.request };
}

type RelayClient = InstanceType<ServiceClientConstructor> & {
  open(metadata: Metadata): ClientDuplexStream<Frame, Frame>;
};

const Client = makeGenericClientConstructor(relayServiceDefinition as unknown as ServiceDefinition, "Relay");

/** At a server that stands by. `leader`: "host:port" of the gRPC of the one that leads; undefined: nobody does now. */
export function relayStreams(parts: {
  readonly leader: () => string | undefined;
  readonly credentials: () => ClientCredentials;
}): NodeStreams {
  return {
    open: async (node, request, signal) => {
      signal.throwIfAborted();
      const address = parts.leader();
      if (address === undefined) throw noLeader("no server leads at present");
      const client = new Client(...dialArguments(address, parts.credentials())) as unknown as RelayClient;
      const metadata = new Metadata();
      metadata.set(nodeKey, node);
      metadata.set(requestKey, Buffer.from(toBinary(StreamOpenSchema, create(StreamOpenSchema, { request }))));
      const call = client.open(metadata);
      const pipe = grpcPipe(call, () => call.cancel());
      call.once("status", () => client.close());
      // Until somebody reads, grpc-js takes in all that comes; from then on, what the reader keeps up with.
      call.read(0);
      await answered(call, address, signal);
      const frames = pipe.frames[Symbol.asyncIterator]();
      return joinStream({ node, pipe, frames, onLeft: () => {}, signal }) satisfies NodeStream;
    },
  };
}

function answered(call: ClientDuplexStream<Frame, Frame>, address: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      call.cancel();
      reject(signal.reason);
    };
    const settle = () => signal.removeEventListener("abort", onAbort);
    signal.addEventListener("abort", onAbort, { once: true });
    call.once("metadata", () => {
      settle();
      resolve();
    });
    call.once("error", (error: ServiceError) => {
      settle();
      reject(refusalOf(error, address));
    });
  });
}

function refusalOf(error: ServiceError, address: string): ApiError {
  if (error.code === status.ABORTED) {
    try {
      return errorFromStatus(JSON.parse(error.details) as Status);
    } catch {
      // Not a server's word: told as it came.
    }
  }
  return noLeader(`the server that leads, ${address}, cannot be reached: ${error.details}`, error);
}

function noLeader(message: string, cause?: unknown): ApiError {
  return new ApiError("ServiceUnavailable", message, { details: { retryAfterSeconds: 1 }, cause });
}
