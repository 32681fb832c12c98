// The socket of Docker's API. Whoever connects first brings the code behind it, which most nodes never need; on a node where somebody
// did, it is there from the start, since it goes on with what runs.
import { chmodSync, existsSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { Docker, DockerOptions } from "./docker/open-docker.ts";
import { messageOf } from "./pods/start-problem.ts";

export interface DockerDoor extends AsyncDisposable {
  /** The certificate of the door over TCP was renewed. */
  setTls(tls: SecureContextOptions): void;
  /** Ends its containers; they can be started again. */
  stopAll(): Promise<void>;
  /** Ends its containers and takes everything of it out of the kernel; records, volumes and files stay. */
  tearDown(): Promise<void>;
}

export async function openDockerDoor(options: DockerOptions & { readonly socketPath: string }): Promise<DockerDoor> {
  const { log, socketPath } = options;
  let opening: Promise<Docker> | undefined;
  let docker: Docker | undefined;
  const open = async () => {
    const { openDocker } = await import("./docker/open-docker.ts");
    docker = await openDocker(options);
    return docker;
  };
  const opened = () => {
    opening ??= open();
    // A failure is not for good.
    opening.catch(() => {
      opening = undefined;
    });
    return opening;
  };
  if (options.listen !== undefined || existsSync(options.dataDir)) await opened();

  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    opened().then(
      ({ accept }) => accept(socket),
      (error) => {
        log.error({ error: messageOf(error) }, "Docker's API cannot be served");
        socket.destroy();
      },
    );
  });
  // Its last user is gone: one agent works in a data folder at a time.
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new Error(`listen on ${socketPath}`, { cause })));
    server.listen(socketPath, () => resolve());
  });
  chmodSync(socketPath, 0o660);
  log.info({ socket: socketPath }, "Docker's API is served");
  const close = async () => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
    // Who came last may still be bringing it.
    await opening?.catch(() => {});
  };
  return {
    setTls: (tls) => docker?.setTls(tls),
    stopAll: async () => await docker?.containers.stopAll(),
    tearDown: async () => {
      await close();
      await docker?.tearDown();
    },
    [Symbol.asyncDispose]: async () => {
      await close();
      await docker?.[Symbol.asyncDispose]();
    },
  };
}
