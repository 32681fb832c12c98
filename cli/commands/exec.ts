// naru exec: a command inside a running container, with a terminal on demand. Speaks Kubernetes' WebSocket protocol v5.
import { WebSocket } from "ws";
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Status } from "../../api/kinds/generated/types.ts";
import { tlsOptions } from "../../client/transport.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { podsOf } from "../pods.ts";
import { namespaceOf, pathOf } from "../resources.ts";

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

export const exec: Command = {
  name: "exec",
  summary: "Run a command in a container",
  usage: "exec [-it] POD|KIND/NAME [-c CONTAINER] -- COMMAND [ARG…]",
  examples: ["naru exec web-5d9c-x7k2p -- cat /etc/hosts", "naru exec -it deploy/web -- sh"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    stdin: { type: "boolean", short: "i", help: "pass standard input on" },
    tty: { type: "boolean", short: "t", help: "give it a terminal" },
    container: { type: "string", short: "c", value: "NAME", help: "which container, when there are several" },
  },
  arguments: [{ type: "targets", kinds: ["pods", "deployments", "replicasets", "services"], bare: true }],
  run: async (invocation) => {
    const [word, ...more] = invocation.positionals;
    const command = [...more, ...invocation.rest];
    if (word === undefined || command.length === 0) throw new UsageError("name a pod and, behind --, a command");
    const connection = await connect(invocation);
    const namespace = namespaceOf(invocation, connection);
    const [pod] = await podsOf(connection, namespace, word);
    const tty = invocation.flag("tty") && process.stdin.isTTY;
    const stdin = invocation.flag("stdin");
    const query = new URLSearchParams({ stdout: "true", stderr: String(!tty), stdin: String(stdin), tty: String(tty) });
    for (const part of command) query.append("command", part);
    const container = invocation.text("container");
    if (container !== undefined) query.set("container", container);
    const path = `${pathOf(pods, namespace, pod?.metadata?.name ?? "")}/exec?${query}`;
    try {
      return await run(connection, path, { stdin, tty, signal: invocation.signal });
    } finally {
      connection.close();
    }
  },
};

function run(
  connection: Connection,
  path: string,
  { stdin, tty, signal }: { stdin: boolean; tty: boolean; signal: AbortSignal },
): Promise<number> {
  const socket = new WebSocket(
    new URL(path, connection.transport.connection.server.replace(/^http/, "ws")),
    "v5.channel.k8s.io",
    tlsOptions(connection.transport.connection),
  );
  const send = (to: number, data: Uint8Array) =>
    socket.readyState === WebSocket.OPEN && socket.send(Buffer.concat([Buffer.of(to), data]));
  const resize = () =>
    send(channel.resize, Buffer.from(JSON.stringify({ Width: process.stdout.columns, Height: process.stdout.rows })));
  const restore = () => {
    if (tty) process.stdin.setRawMode(false);
    process.stdin.pause();
    process.stdout.off("resize", resize);
  };
  signal.addEventListener("abort", () => socket.close(), { once: true });
  return new Promise<number>((resolve, reject) => {
    let exitCode: number | undefined;
    socket.on("open", () => {
      if (tty) {
        process.stdin.setRawMode(true);
        resize();
        process.stdout.on("resize", resize);
      }
      if (!stdin) return;
      process.stdin.on("data", (data: Buffer) => send(channel.stdin, data));
      process.stdin.on("end", () => send(channel.close, Buffer.of(channel.stdin)));
    });
    socket.on("message", (message: Buffer) => {
      const data = message.subarray(1);
      if (message[0] === channel.stdout) process.stdout.write(data);
      if (message[0] === channel.stderr) process.stderr.write(data);
      if (message[0] === channel.error) {
        const status = JSON.parse(data.toString()) as Status;
        if (status.status === "Success") exitCode = 0;
        else {
          const code = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
          if (code !== undefined) exitCode = Number(code);
          else reject(new Error(status.message ?? "exec failed"));
        }
      }
    });
    socket.on("unexpected-response", (_, answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => (text += part.toString()));
      answer.on("end", () => {
        try {
          reject(new Error((JSON.parse(text) as Status).message));
        } catch {
          reject(new Error(`exec refused: HTTP ${answer.statusCode} ${text.slice(0, 200)}`));
        }
      });
    });
    socket.on("error", reject);
    socket.on("close", () =>
      exitCode === undefined ? reject(new Error("the connection ended before the command did")) : resolve(exitCode),
    );
  }).finally(restore);
}
