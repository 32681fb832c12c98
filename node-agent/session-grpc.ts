// The session's transport for real: gRPC over TLS with the node's certificate. Each stream of frames has a connection of its own while it
// lasts, so that an exec whose user reads nothing cannot fill the window that heartbeats need.
import {
  type ClientDuplexStream,
  makeGenericClientConstructor,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import type { AgentMessage, Frame, ServerMessage } from "../proto/generated/node_pb.ts";
import { nodeServiceDefinition } from "../proto/grpc.ts";
import { type ClientCredentials, dialArguments } from "../proto/grpc-client.ts";
import { grpcPipe } from "../proto/grpc-pipe.ts";
import type { FramePipe, SessionTransport } from "../proto/transport.ts";

export interface GrpcTransportOptions {
  /** "host:port" of each server; tried in turn. */
  readonly addresses: readonly string[];
  /** Read at each dial, so that a renewed certificate counts. */
  readonly credentials: () => ClientCredentials;
  /** The name that the server's certificate must bear; by default the address's host, or "kubernetes" for a bare IP address. */
  readonly serverName?: string;
}

/** Connections kept for the next stream. */
const idleMax = 2;

type SessionClient = InstanceType<ServiceClientConstructor> & {
  session(): ClientDuplexStream<AgentMessage, ServerMessage>;
  stream(): ClientDuplexStream<Frame, Frame>;
};

const Client = makeGenericClientConstructor(nodeServiceDefinition as unknown as ServiceDefinition, "NodeService");

export function grpcTransport(options: GrpcTransportOptions): SessionTransport {
  let dials = 0;
  return {
    connect: (events) => {
      const address = options.addresses[dials++ % options.addresses.length] ?? "";
      const client = dial(address, options);
      const streams = openStreamPool(() => dial(address, options));
      const call = client.session();
      let closed = false;
      let congested = false;
      const end = (reason: string) => {
        if (closed) return;
        closed = true;
        call.cancel();
        client.close();
        streams.close();
        events.onClose(reason);
      };
      call.on("data", (message: ServerMessage) => {
        if (!closed) events.onMessage(message);
      });
      call.on("drain", () => {
        congested = false;
        if (!closed) events.onDrain();
      });
      call.on("error", (error) => end(`${address}: ${error.message}`));
      call.on("end", () => end(`${address}: the server hung up`));
      return {
        send: (message) => {
          if (!closed && !call.write(message)) congested = true;
        },
        get congested() {
          return congested;
        },
        close: () => {
          if (closed) return;
          closed = true;
          streams.close();
          // What was written goes out first; an unreachable server must not hold it up.
          call.on("status", () => client.close());
          call.end();
          setTimeout(() => call.cancel(), 100).unref();
        },
        openStream: streams.open,
      };
    },
  };
}

function dial(address: string, { credentials, serverName }: GrpcTransportOptions): SessionClient {
  return new Client(...dialArguments(address, credentials(), serverName)) as unknown as SessionClient;
}

function openStreamPool(dialOne: () => SessionClient): { readonly open: () => FramePipe; readonly close: () => void } {
  const idle: SessionClient[] = [];
  const busy = new Set<FramePipe>();
  let closed = false;
  return {
    open: () => {
      const client = idle.pop() ?? dialOne();
      const call = client.stream();
      const pipe = grpcPipe(call, () => call.cancel());
      busy.add(pipe);
      call.once("status", () => {
        busy.delete(pipe);
        if (closed || idle.length >= idleMax) client.close();
        else idle.push(client);
      });
      return pipe;
    },
    // Streams outlive a session that is dialled anew; their connections close as they end.
    close: () => {
      closed = true;
      for (const client of idle.splice(0)) client.close();
    },
  };
}
