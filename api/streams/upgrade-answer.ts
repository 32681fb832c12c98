// The head of the answer to an upgrade: 101 with the protocol agreed on, or an ordinary error with a Status.
import type { Duplex } from "node:stream";
import { ApiError } from "../kinds/status.ts";

export function switchProtocols(socket: Duplex, headers: Readonly<Record<string, string>>): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${lines.join("")}\r\n`);
}

export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const refusal =
    error instanceof ApiError
      ? error
      : new ApiError("InternalError", "the request could not be served", { cause: error });
  const body = JSON.stringify(refusal.toStatus());
  const head = [
    `HTTP/1.1 ${refusal.code} ${refusal.reason}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

/** The values of a header that may come as several lines or as a list. */
export function listOf(value: string | readonly string[] | undefined): readonly string[] {
  const text = typeof value === "string" ? value : (value ?? []).join(",");
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
