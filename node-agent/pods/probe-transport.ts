// How probes and hooks reach a pod from its node.
import type { Container, HTTPGetAction, HTTPHeader, IntOrString } from "../../api/kinds/generated/types.ts";
import { askHttp } from "./http-probe.ts";
import { dialProblem, grpcProblem, hostAndPort, httpProblem } from "./probe-problem.ts";

export interface HttpTarget {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: readonly HTTPHeader[];
}

export interface ProbeTransport {
  /** Status and the beginning of the body. Rejects when nothing answers in time. */
  http(
    target: HttpTarget,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly body: string }>;
  /** Resolves when something accepts the connection. */
  tcp(target: { readonly host: string; readonly port: number }, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** The serving status of grpc.health.v1: 1 serves, 2 does not. */
  grpc(target: GrpcTarget, timeoutMs: number, signal: AbortSignal): Promise<number>;
}

export interface GrpcTarget {
  readonly host: string;
  readonly port: number;
  /** "" asks for the server as a whole. */
  readonly service: string;
}

export const realProbeTransport: ProbeTransport = {
  http: async (target, timeoutMs, signal) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    return askHttp(target, limit).catch((error: Error) => {
      throw httpProblem(target, { error, late: limit.aborted && !signal.aborted });
    });
  },

  tcp: async ({ host, port }, timeoutMs, signal) => {
    const { connect } = await import("node:net");
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host, port });
      const end = (error?: Error) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        socket.destroy();
        if (error === undefined) resolve();
        else reject(dialProblem({ host, port }, error));
      };
      const onAbort = () => end(new Error("aborted"));
      const timer = setTimeout(() => end(new Error("i/o timeout")), timeoutMs);
      signal.addEventListener("abort", onAbort, { once: true });
      socket.on("connect", () => end());
      socket.on("error", end);
    });
  },

  grpc: async ({ host, port, service }, timeoutMs, signal) => {
    const { Client, credentials } = await import("@grpc/grpc-js");
    const client = new Client(hostAndPort({ host, port }), credentials.createInsecure());
    try {
      return await new Promise<number>((resolve, reject) => {
        const call = client.makeUnaryRequest(
          "/grpc.health.v1.Health/Check",
          healthRequest,
          servingStatus,
          service,
          { deadline: Date.now() + timeoutMs },
          (error, status) =>
            error === null ? resolve(status ?? 0) : reject(grpcProblem({ host, port }, error, timeoutMs)),
        );
        signal.addEventListener("abort", () => call.cancel(), { once: true });
      });
    } finally {
      client.close();
    }
  },
};

export function httpTarget(action: HTTPGetAction, container: Container, podIp: string): HttpTarget {
  const path = action.path ?? "/";
  return {
    scheme: action.scheme?.toUpperCase() === "HTTPS" ? "https" : "http",
    host: action.host ?? podIp,
    port: portNumber(action.port, container),
    path: path.startsWith("/") ? path : `/${path}`,
    headers: action.httpHeaders ?? [],
  };
}

/** A number, or the name of one of the container's ports. */
export function portNumber(port: IntOrString, container: Container): number {
  const number = typeof port === "number" ? port : Number(port);
  if (Number.isInteger(number)) return number;
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  if (named === undefined) throw new Error(`container ${container.name} has no port named "${port}"`);
  return named;
}

// HealthCheckRequest { string service = 1 } in protobuf's encoding; names of services are checked to be short by the API.
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service).subarray(0, 127);
  return name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
}

// HealthCheckResponse { ServingStatus status = 1 }; 0 (unknown) is not sent.
function servingStatus(bytes: Buffer): number {
  return bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0;
}
