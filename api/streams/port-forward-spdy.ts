// Port-forward over SPDY/3.1, bare or inside of a WebSocket: a pair of streams, data and error, for each forwarded connection.
// Source: Kubernetes, the kubelet's portforward server (headers port, requestID, streamType) and KEP-4006 (the tunnel).
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../../lib/clock.ts";
import { type ForwardTarget, forwardConnection } from "./port-forward.ts";
import { openSpdy, type SpdyStream } from "./spdy.ts";

export const portForwardProtocol = "portforward.k8s.io";

/** How long a stream may wait for its partner. */
const pairMsMax = 30_000;

/** Runs until the client hangs up or `signal` is aborted. */
export async function servePortForwardSpdy(
  socket: Duplex,
  target: ForwardTarget,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  await using connection = openSpdy(socket);
  const close = () => void connection[Symbol.asyncDispose]();
  signal.addEventListener("abort", close, { once: true });
  const waiting = new Map<string, { readonly stream: SpdyStream; readonly timer: Timer }>();
  for await (const stream of connection.streams) {
    const type = stream.headers["streamtype"];
    const port = Number(stream.headers["port"]);
    if ((type !== "data" && type !== "error") || !Number.isInteger(port) || port < 1 || port > 65_535) {
      stream.reset();
      continue;
    }
    // Clients of old sent no id: the error stream came first, the data stream two later.
    const request = stream.headers["requestid"] ?? String(type === "error" ? stream.id : stream.id - 2);
    const partner = waiting.get(request);
    if (partner === undefined) {
      const timer = clock.after(pairMsMax, () => {
        waiting.delete(request);
        stream.reset();
      });
      waiting.set(request, { stream, timer });
      continue;
    }
    waiting.delete(request);
    partner.timer.cancel();
    if (partner.stream.headers["streamtype"] === type) {
      stream.reset();
      partner.stream.reset();
      continue;
    }
    const [data, error] = type === "data" ? [stream, partner.stream] : [partner.stream, stream];
    void forwardConnection(target, {
      port,
      input: data.input,
      write: data.write,
      end: data.end,
      finish: async (message) => {
        if (message !== undefined) await error.write(Buffer.from(message));
        error.end();
      },
      signal: connection.signal,
    });
  }
  signal.removeEventListener("abort", close);
  for (const { timer } of waiting.values()) timer.cancel();
}
