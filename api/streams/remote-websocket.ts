// exec and attach over a WebSocket.
import type { StreamUpgrade } from "../http/stream-broker.ts";
import { ApiError } from "../kinds/status.ts";
import { errorChannelText } from "./exit-status.ts";
import { parseSizes, type RemoteChannels, type RemoteInput } from "./remote-command.ts";
import { acceptWebSocket, agreeOnProtocol, type ChannelSocket, openChannels } from "./websocket.ts";

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** Best first. */
const protocols: Readonly<Record<string, { readonly version: number; readonly encoding: "binary" | "base64" }>> = {
  "v5.channel.k8s.io": { version: 5, encoding: "binary" },
  "v4.channel.k8s.io": { version: 4, encoding: "binary" },
  "v4.base64.channel.k8s.io": { version: 4, encoding: "base64" },
  "channel.k8s.io": { version: 1, encoding: "binary" },
  "base64.channel.k8s.io": { version: 1, encoding: "base64" },
  "": { version: 1, encoding: "binary" },
};

/** Refuses with BadRequest; changes nothing on the connection. */
export function agreeOnRemoteWebSocket({ request }: StreamUpgrade): string {
  const protocol = agreeOnProtocol(request, Object.keys(protocols));
  if (protocol !== undefined) return protocol;
  const offered = request.headers["sec-websocket-protocol"];
  throw new ApiError("BadRequest", `none of the WebSocket protocols ${JSON.stringify(offered)} is spoken here`);
}

export async function acceptRemoteWebSocket(upgrade: StreamUpgrade, protocol: string): Promise<RemoteChannels> {
  const { version, encoding } = protocols[protocol] ?? { version: 1, encoding: "binary" };
  const socket = openChannels(await acceptWebSocket(upgrade, protocol), encoding);
  // Tells the client that it is connected: an empty message on the first channel that it reads.
  const wants = (name: string) => ["true", "1"].includes(upgrade.query.get(name) ?? "");
  const first = wants("stdout") ? channels.stdout : wants("stderr") ? channels.stderr : channels.error;
  await socket.send(first, new Uint8Array()).catch(() => {});
  return {
    input: inputs(socket),
    write: (channel, data) => socket.send(channels[channel], data),
    finish: async (status) => {
      const text = errorChannelText(status, version);
      if (text !== undefined) await socket.send(channels.error, Buffer.from(text)).catch(() => {});
      socket.close(1000, "");
    },
    signal: socket.signal,
  };
}

async function* inputs(socket: ChannelSocket): AsyncGenerator<RemoteInput> {
  for await (const { channel, data } of socket.messages) {
    if (channel === channels.stdin && data.length > 0) yield { type: "stdin", data };
    else if (channel === channels.close && data[0] === channels.stdin) yield { type: "stdinEnd" };
    else if (channel === channels.resize) {
      for (const size of parseSizes(data.toString())) yield { type: "resize", ...size };
    }
  }
}
