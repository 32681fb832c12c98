// naru port-forward: ports of a pod on this machine's loopback address, one WebSocket for each connection.
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { WebSocket } from "ws";
import { pods } from "../../api/kinds/generated/resources.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { podsOf, podTargets } from "../pods.ts";
import { dialWebSocket, opened } from "../remote-streams.ts";
import { namespaceOf, pathOf } from "../resources.ts";

const channel = { data: 0, error: 1, close: 255 } as const;
/** Each channel begins with its port's number, which we know. */
const portBytes = 2;

interface Forward {
  /** 0: any free one. */
  readonly local: number;
  readonly remote: number;
}

export const portForward: Command = {
  name: "port-forward",
  summary: "Reach a pod's ports from this machine",
  usage: "port-forward POD|KIND/NAME [LOCAL:]REMOTE…",
  examples: ["naru port-forward web-5d9c-x7k2p 8080", "naru port-forward deploy/web 9000:80 :443"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    address: { type: "string", value: "IP", default: "127.0.0.1", help: "to listen on (default: 127.0.0.1)" },
  },
  runsUntilSignalled: true,
  arguments: [podTargets],
  run: async (invocation) => {
    const [word, ...words] = invocation.positionals;
    if (word === undefined || words.length === 0) throw new UsageError("name a pod and its ports, such as 8080:80");
    const forwards = words.map(parseForward);
    const { signal } = invocation;
    const connection = await connect(invocation);
    const servers: Server[] = [];
    try {
      const [pod] = await podsOf(connection, namespaceOf(invocation, connection), word);
      const { name = "", namespace = "default" } = pod?.metadata ?? {};
      const path = `${pathOf(pods, namespace, name)}/portforward`;
      for (const { local, remote } of forwards) {
        const server = createServer({ allowHalfOpen: true }, (socket) => {
          join(socket, dialWebSocket(connection, `${path}?ports=${remote}`, "v5.channel.k8s.io"))
            .catch((error: Error) => console.error(error.message))
            .finally(() => socket.destroy());
        });
        servers.push(server);
        server.listen(local, invocation.text("address"));
        await once(server, "listening");
        const bound = server.address();
        if (bound === null || typeof bound === "string") throw new Error("listening on no port");
        console.log(`Forwarding from ${bound.address}:${bound.port} -> ${remote}`);
      }
      await untilAborted(signal);
      return 0;
    } finally {
      for (const server of servers) server.close();
      connection.close();
    }
  },
};

/** "8080", "9000:80", ":80" */
function parseForward(word: string): Forward {
  const [, local, remote = ""] = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(word) ?? [];
  const port = (text: string) => Number(text) <= 65_535;
  if (remote === "" || Number(remote) === 0 || !port(remote) || !port(local ?? "0")) {
    throw new UsageError(`${JSON.stringify(word)} names no port: write 8080, 9000:80, or :80 for any free one`);
  }
  return { local: local === undefined ? Number(remote) : Number(local), remote: Number(remote) };
}

/** Until both directions have ended, or either side is gone. Rejects with what the server says of a failure. */
async function join(socket: Socket, remote: WebSocket): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const skip: Record<number, number> = { [channel.data]: portBytes, [channel.error]: portBytes };
  remote.on("message", (message: Buffer) => {
    const from = message[0] ?? channel.data;
    if (from === channel.close) {
      if (message[1] === channel.data) socket.end();
      return;
    }
    const skipped = Math.min(skip[from] ?? 0, message.length - 1);
    skip[from] = (skip[from] ?? 0) - skipped;
    const data = message.subarray(1 + skipped);
    if (data.length === 0) return;
    if (from === channel.error) ended.reject(new Error(data.toString()));
    else if (!socket.write(data)) remote.pause();
  });
  socket.on("drain", () => remote.resume());
  socket.on("error", () => remote.close());
  socket.on("close", () => remote.close());
  remote.on("close", () => ended.resolve());
  try {
    await opened(remote);
    sendInput(socket, remote).catch(() => remote.close());
    await ended.promise;
  } finally {
    remote.close();
  }
}

async function sendInput(socket: Socket, remote: WebSocket): Promise<void> {
  const send = (to: number, data: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      remote.send(Buffer.concat([Buffer.of(to), data]), (error) => (error == null ? resolve() : reject(error)));
    });
  // The other direction may go on when this one has ended.
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) await send(channel.data, chunk as Buffer);
  await send(channel.close, Buffer.of(channel.data));
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
