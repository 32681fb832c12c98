// BuildKit's own protocol (gRPC over a connection that is handed over), which buildx speaks: Naru builds by the build endpoint. A client's
// calls are answered with that, in the one place where it shows an engine's words.
import { performServerHandshake, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import type { Call, Reply, Route } from "../http/reply.ts";

const words =
  "Naru builds without BuildKit's protocol, though with its Dockerfiles, caches and stages in parallel: set DOCKER_BUILDKIT=0 for 'docker build', or use 'naru build', which has secrets, outputs and cache exports too";
/** gRPC's code for what a server does not have. */
const unimplemented = 12;

export function buildkitRoutes(): readonly Route[] {
  const refuse = async (_call: Call): Promise<Reply> => ({ type: "upgrade", protocol: "h2c", run: refuseCalls });
  // There the engine calls the client for its files, and this one never does: what is said comes as an answer to the build.
  const listen = async (_call: Call): Promise<Reply> => ({ type: "upgrade", protocol: "h2c", run: waitForEnd });
  return [
    ["POST /grpc", refuse],
    ["POST /session", listen],
  ];
}

function waitForEnd(socket: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      socket.destroy();
      resolve();
    };
    socket.once("end", end).once("close", end).once("error", end).resume();
    signal.addEventListener("abort", end, { once: true });
  });
}

/** Until the client goes; it is the one that calls. */
function refuseCalls(socket: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // Not the socket itself: the kernel's end of it would not be heard of, as sockets here may be half open.
    const session = performServerHandshake(Duplex.from({ readable: socket, writable: socket }));
    socket.once("end", () => session.destroy());
    socket.once("close", () => session.destroy());
    session.on("stream", refuseCall);
    session.on("error", () => socket.destroy());
    session.on("close", () => {
      socket.destroy();
      resolve();
    });
    signal.addEventListener("abort", () => session.destroy(), { once: true });
  });
}

function refuseCall(stream: ServerHttp2Stream): void {
  stream.on("error", () => {});
  stream.resume();
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(unimplemented),
      "grpc-message": encodeURIComponent(words),
    },
    { endStream: true },
  );
}
