// Port-forward over plain WebSocket channels, as browsers and some client libraries use it: for each port in the query a data and an
// error channel, each of which starts with the port as two bytes, low first. Version 5 adds what exec has in it: a close signal, so
// that each direction of a connection can end by itself.
// Source: Kubernetes, the kubelet's portforward WebSocket server.
import type { WebSocket } from "ws";
import { type ForwardTarget, forwardConnection } from "./port-forward.ts";
import { openChannels } from "./websocket.ts";

export const portForwardChannelProtocols: readonly string[] = [
  "v5.channel.k8s.io",
  "v4.channel.k8s.io",
  "v4.base64.channel.k8s.io",
];

const closeChannel = 255;

export async function servePortForwardChannels(
  socket: WebSocket,
  target: ForwardTarget,
  ports: readonly number[],
  protocol: string,
): Promise<void> {
  const channels = openChannels(socket, protocol.includes("base64") ? "base64" : "binary");
  const closes = protocol.startsWith("v5.");
  const inputs = ports.map(() => openQueue());
  const forwards = ports.map(async (port, index) => {
    const [data, error] = [index * 2, index * 2 + 1];
    const head = Buffer.alloc(2);
    head.writeUInt16LE(port);
    await channels.send(data, head);
    await channels.send(error, head);
    await forwardConnection(target, {
      port,
      input: inputs[index]?.read() ?? none(),
      write: (bytes) => channels.send(data, bytes),
      end: () => {
        if (closes) channels.send(closeChannel, Buffer.of(data)).catch(() => {});
      },
      finish: async (message) => {
        if (message !== undefined) await channels.send(error, Buffer.from(message));
      },
      signal: channels.signal,
    });
  });
  void Promise.allSettled(forwards).then(() => channels.close(1000, ""));
  for await (const { channel, data } of channels.messages) {
    if (closes && channel === closeChannel) inputs[(data[0] ?? 1) / 2]?.end();
    else if (channel % 2 === 0) await inputs[channel / 2]?.put(data);
  }
  for (const input of inputs) input.end();
  await Promise.allSettled(forwards);
}

async function* none(): AsyncGenerator<Uint8Array> {}

interface Queue {
  put(data: Uint8Array): Promise<void>;
  end(): void;
  read(): AsyncGenerator<Uint8Array>;
}

// One message at a time: a port that takes nothing holds up its connection, as it does for its only user.
function openQueue(): Queue {
  let item: Uint8Array | undefined;
  let ended = false;
  let wake = () => {};
  let taken = () => {};
  return {
    put: (data) => {
      if (ended) return Promise.resolve();
      item = data;
      wake();
      return new Promise((resolve) => {
        taken = resolve;
      });
    },
    end: () => {
      ended = true;
      wake();
      taken();
    },
    async *read() {
      try {
        for (;;) {
          if (item !== undefined) {
            const data = item;
            item = undefined;
            yield data;
            taken();
          } else if (ended) return;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        ended = true;
        taken();
      }
    },
  };
}
