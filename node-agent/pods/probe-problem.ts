// Why a probe got no answer, in the words that Kubernetes' Events use and that people look for. Pure.
import type { HttpTarget } from "./probe-transport.ts";

export interface DialTarget {
  readonly host: string;
  readonly port: number;
}

export function hostAndPort({ host, port }: DialTarget): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Of a connection that did not come about. */
export function dialProblem(target: DialTarget, error: Error): Error {
  const reason = kernelReason(error);
  const what = reason === undefined ? error.message : `connect: ${reason}`;
  return new Error(`dial tcp ${hostAndPort(target)}: ${what}`, { cause: error });
}

/** `late`: the probe's time was over. */
export function httpProblem(
  target: HttpTarget,
  { error, late }: { readonly error: Error & { readonly syscall?: string }; readonly late: boolean },
): Error {
  const asked = `Get "${target.scheme}://${hostAndPort(target)}${target.path}"`;
  const text = late
    ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    : error.syscall === "connect"
      ? dialProblem(target, error).message
      : (kernelReason(error) ?? tlsReason(error) ?? error.message);
  return new Error(`${asked}: ${text}`, { cause: error });
}

/** Of a call of grpc.health.v1.Health. */
export function grpcProblem(
  target: DialTarget,
  error: Error & { readonly code?: number; readonly details?: string },
  timeoutMs: number,
): Error {
  const within = `within ${timeoutMs / 1000}s`;
  const { details = error.message } = error;
  const text = {
    [deadlineExceeded]: `timeout: health rpc did not complete ${within}`,
    [unavailable]: `timeout: failed to connect service "${hostAndPort(target)}" ${within}: ${plainReason(details)}`,
    [unimplemented]: `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${details}`,
  }[error.code ?? -1];
  return new Error(text ?? `error: health rpc probe failed: ${details}`, { cause: error });
}

// Source: gRPC, "Status Codes".
const deadlineExceeded = 4;
const unimplemented = 12;
const unavailable = 14;

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "connection timed out",
};

// OpenSSL's words name its own source files.
function tlsReason({ message }: Error): string | undefined {
  return /wrong version number|packet length too long/.test(message) ? "server gave no TLS response" : undefined;
}

// gRPC wraps Node's error in sentences of its own.
function plainReason(details: string): string {
  return reasons[/\bE[A-Z]{4,}\b/.exec(details)?.[0] ?? ""] ?? details;
}

function kernelReason(error: Error & { readonly code?: unknown }): string | undefined {
  return reasons[String(error.code)];
}
