// Ends a server with all its connections. What servers offer themselves (closeAllConnections, forceShutdown) knows a connection only once
// its TLS handshake is over: one that was in the middle of it stayed open, and with it the process.
import type { Server, Socket } from "node:net";

/** From now on; call it before the server listens. Resolves when the server and every connection is closed. */
export function endWithConnections(server: Server): () => Promise<void> {
  const open = new Set<Socket>();
  let ended = false;
  server.on("connection", (socket: Socket) => {
    if (ended) {
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  return () =>
    new Promise((resolve) => {
      ended = true;
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
}
