// Naru's own: a connection to a port of the node's loopback, for who may use the socket but has another network, as the machine of
// `naru up` has. Nobody gets further by it than by a container on the node's network.
import { connect } from "node:net";
import { pipeline } from "node:stream/promises";
import { badRequest, DockerProblem } from "../http/problem.ts";
import type { Route } from "../http/reply.ts";

export function dialRoutes(): readonly Route[] {
  return [
    [
      "POST /naru/dial",
      async ({ query }) => {
        const port = query.number("port") ?? 0;
        if (!Number.isInteger(port) || port < 1 || port > 65535) throw badRequest(`port ${port}: from 1 to 65535`);
        const socket = await dial(port);
        return {
          type: "hijack",
          contentType: "application/vnd.docker.raw-stream",
          run: async (client, signal) => {
            signal.addEventListener("abort", () => socket.destroy(), { once: true });
            if (signal.aborted) socket.destroy();
            await Promise.allSettled([pipeline(client, socket), pipeline(socket, client)]);
            socket.destroy();
          },
        };
      },
    ],
  ];
}

function dial(port: number): Promise<ReturnType<typeof connect>> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true }, () => resolve(socket));
    socket.once("error", (cause) => reject(new DockerProblem(502, `port ${port}: ${cause.message}`, { cause })));
  });
}
