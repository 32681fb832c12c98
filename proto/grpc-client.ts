// How any part of a cluster dials a server's gRPC door: TLS with a client certificate, a connection of its own.
import { isIP } from "node:net";
import { type ChannelCredentials, type ChannelOptions, credentials as grpcCredentials } from "@grpc/grpc-js";
import { messageBytesMax } from "./grpc.ts";

export interface ClientCredentials {
  readonly authorityPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** `serverName`: that the server's certificate must bear; by default the address's host, or "kubernetes" for a bare IP address. */
export function dialArguments(
  address: string,
  { authorityPem, certificatePem, keyPem }: ClientCredentials,
  serverName = nameFor(address),
): readonly [address: string, credentials: ChannelCredentials, options: ChannelOptions] {
  const secrets = [authorityPem, keyPem, certificatePem].map((pem) => Buffer.from(pem));
  return [
    address,
    grpcCredentials.createSsl(...secrets),
    {
      "grpc.use_local_subchannel_pool": 1, // a connection of its own
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": messageBytesMax,
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5000,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
      "grpc.ssl_target_name_override": serverName,
    },
  ];
}

// TLS sends no IP address as a server's name (RFC 6066, section 3); every server of a cluster bears this one.
function nameFor(address: string): string {
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? host : "kubernetes";
}
