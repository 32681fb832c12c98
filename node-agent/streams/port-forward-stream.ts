// Port-forward: one connection to a port of a pod, made from its node.
import { connect, type Socket } from "node:net";
import type { NodeStream, StreamEnd } from "../session-types.ts";

const connectMsMax = 10_000;

export async function forwardPort(
  target: { readonly host: string; readonly port: number },
  stream: NodeStream,
): Promise<StreamEnd> {
  const socket = await open(target, stream.signal);
  const onAbort = () => socket.destroy();
  stream.signal.addEventListener("abort", onAbort, { once: true });
  try {
    feed(socket, stream).catch(() => socket.destroy());
    for await (const chunk of socket) await stream.send({ type: "stdout", data: chunk });
    return { exitCode: 0, error: "" };
  } finally {
    stream.signal.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

function open({ host, port }: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    const fail = (why: string) => {
      socket.destroy();
      reject(new Error(`cannot connect to port ${port} of the pod: ${why}`));
    };
    const onAbort = () => fail("the client went away");
    const onError = (error: NodeJS.ErrnoException) =>
      fail(error.code === "ECONNREFUSED" ? "connection refused" : error.message);
    socket.setTimeout(connectMsMax, () => fail(`no answer within ${connectMsMax / 1000} s`));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("connect", () => {
      socket.setTimeout(0);
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", onError);
      resolve(socket);
    });
  });
}

async function feed(socket: Socket, stream: NodeStream): Promise<void> {
  for await (const input of stream.input) {
    if (input.type === "stdinEnd") break;
    if (input.type !== "stdin" || socket.write(input.data)) continue;
    await new Promise<void>((resolve) => {
      socket.once("drain", resolve);
      socket.once("close", () => resolve());
    });
  }
  socket.end();
}
