// The head of the answer to an upgrade: 101 with the protocol agreed on, or an ordinary error with a Status.
import type { Duplex } from "node:stream";
import { asApiError } from "../http/answer.ts";

/** How long a client that was refused may keep its side of the connection open. */
const lingerMs = 5000;

export function switchProtocols(socket: Duplex, headers: Readonly<Record<string, string>>): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${lines.join("")}\r\n`);
}

/** The connection speaks HTTP/1.1 still: a plain answer, then its end. */
export function refuseUpgrade(socket: Duplex, error: unknown): void {
  if (socket.destroyed || !socket.writable) return;
  const refusal = asApiError(error);
  const body = JSON.stringify(refusal.toStatus());
  const head = [
    `HTTP/1.1 ${refusal.code} ${refusal.reason}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // Only who reads hears the other side's end.
  socket.resume();
  const late = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(late));
}

/** The values of a header that may come as several lines or as a list. */
export function listOf(value: string | readonly string[] | undefined): readonly string[] {
  const text = typeof value === "string" ? value : (value ?? []).join(",");
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
