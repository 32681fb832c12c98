// The door that agents dial: gRPC over TLS with client certificates; a node is who its certificate says.
import { type AddressInfo, createServer, type Server as Listener } from "node:net";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Logger } from "../../lib/log.ts";
import { endWithConnections } from "../../lib/server-connections.ts";
import type { AgentMessage, Frame, ServerMessage } from "../../proto/generated/node_pb.ts";
import { messageBytesMax, nodeServiceDefinition, relayServiceDefinition } from "../../proto/grpc.ts";
import { grpcPipe } from "../../proto/grpc-pipe.ts";
import type { Link, LinkEvents, SessionHost } from "../../proto/transport.ts";
import { mastersGroup, nodesGroup } from "../authentication/user.ts";
import type { NodeStreams } from "../http/stream-broker.ts";
import { failCall } from "./fail-call.ts";
import { serveRelay } from "./relay.ts";

export interface NodeServerOptions {
  readonly host: SessionHost;
  /** Served to other servers of the cluster. */
  readonly streams?: NodeStreams;
  /** Address to listen on, such as "0.0.0.0" or "::". */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** Signs the agents' certificates. */
  readonly authorityPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly log: Logger;
}

export interface NodeServer extends AsyncDisposable {
  readonly port: number;
}

const nodePrefix = "system:node:";

export async function openNodeServer(options: NodeServerOptions): Promise<NodeServer> {
  const { host, log } = options;
  const server = new Server({
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": -1, // a single object may be as large as the API allows
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5000,
    "grpc.max_concurrent_streams": 1000,
  });
  const service: UntypedServiceImplementation = {
    session: (call: ServerDuplexStream<AgentMessage, ServerMessage>) => {
      const node = callerOf(call);
      if (node === undefined) refuse(call);
      else serveSession(call, node, host);
    },
    stream: (call: ServerDuplexStream<Frame, Frame>) => {
      const node = callerOf(call);
      if (node === undefined) refuse(call);
      else
        host.acceptStream(
          node,
          grpcPipe(call, (reason) => failCall(call, status.CANCELLED, reason)),
        );
    },
  };
  server.addService(nodeServiceDefinition as unknown as ServiceDefinition, service);
  const { streams } = options;
  if (streams !== undefined) {
    server.addService(relayServiceDefinition as unknown as ServiceDefinition, {
      open: (call: ServerDuplexStream<Frame, Frame>) => {
        if (groupsOf(call).includes(mastersGroup)) void serveRelay(call, streams);
        else failCall(call, status.PERMISSION_DENIED, "the client certificate must be a server's");
      },
    });
  }
  const credentials = ServerCredentials.createSsl(
    Buffer.from(options.authorityPem),
    [{ cert_chain: Buffer.from(options.certificatePem), private_key: Buffer.from(options.keyPem) }],
    true,
  );
  // Listening is ours, so that every connection can be ended.
  const injector = server.createConnectionInjector(credentials);
  const listener = createServer({ noDelay: true }, (socket) => injector.injectConnection(socket));
  const end = endWithConnections(listener);
  const port = await listen(listener, options);
  log.info({ address: options.address, port }, "agents can dial in");
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      injector.destroy();
      server.forceShutdown();
      await end();
    },
  };
}

function listen(listener: Listener, { address, port }: NodeServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    listener.once("error", (cause) =>
      reject(new Error(`listen for agents on ${address} port ${port}: ${cause.message}`, { cause })),
    );
    listener.listen(port, address, () => resolve((listener.address() as AddressInfo).port));
  });
}

/** The node's name from a certificate such as CN=system:node:NAME, O=system:nodes; undefined for everybody else's. */
function callerOf(call: Pick<ServerDuplexStream<unknown, unknown>, "getAuthContext">): string | undefined {
  const name: unknown = call.getAuthContext().sslPeerCertificate?.subject?.CN;
  if (!groupsOf(call).includes(nodesGroup) || typeof name !== "string" || !name.startsWith(nodePrefix))
    return undefined;
  return name.slice(nodePrefix.length) || undefined;
}

function groupsOf(call: Pick<ServerDuplexStream<unknown, unknown>, "getAuthContext">): readonly unknown[] {
  const groups: unknown = call.getAuthContext().sslPeerCertificate?.subject?.O;
  return Array.isArray(groups) ? groups : [groups];
}

function serveSession(call: ServerDuplexStream<AgentMessage, ServerMessage>, node: string, host: SessionHost): void {
  let closed = false;
  let congested = false;
  const link: Link<ServerMessage> = {
    send: (message) => {
      if (!closed && !call.write(message)) congested = true;
    },
    get congested() {
      return congested;
    },
    close: (reason) => {
      if (closed) return;
      closed = true;
      failCall(call, status.ABORTED, reason);
    },
  };
  const events: LinkEvents<AgentMessage> = host.acceptSession(node, link);
  const end = (reason: string) => {
    if (closed) return;
    closed = true;
    events.onClose(reason);
  };
  call.on("data", (message: AgentMessage) => {
    if (!closed) events.onMessage(message);
  });
  call.on("drain", () => {
    congested = false;
    if (!closed) events.onDrain();
  });
  call.on("end", () => {
    end("the agent hung up");
    call.end();
  });
  call.on("cancelled", () => {
    end("the connection broke");
    call.destroy();
  });
  call.on("error", (error: Error) => end(error.message));
}

function refuse(
  call:
    | ServerDuplexStream<never, never>
    | ServerDuplexStream<AgentMessage, ServerMessage>
    | ServerDuplexStream<Frame, Frame>,
): void {
  failCall(
    call,
    status.PERMISSION_DENIED,
    `the client certificate must be a node's (CN=${nodePrefix}NAME, O=system:nodes)`,
  );
}
