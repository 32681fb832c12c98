// naru exec: a command inside a running container, with a terminal on demand.
import { pods } from "../../api/kinds/generated/resources.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { containerOf, podsOf, podTargets } from "../pods.ts";
import { openRemote } from "../remote-streams.ts";
import { joinTerminal } from "../remote-terminal.ts";
import { namespaceOf, pathOf } from "../resources.ts";

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
  arguments: [podTargets],
  run: async (invocation) => {
    const [word, ...more] = invocation.positionals;
    const command = [...more, ...invocation.rest];
    if (word === undefined || command.length === 0) throw new UsageError("name a pod and, behind --, a command");
    const connection = await connect(invocation);
    const namespace = namespaceOf(invocation, connection);
    const [pod] = await podsOf(connection, namespace, word);
    const container = pod === undefined ? undefined : containerOf(pod, invocation.text("container"));
    try {
      return await runInPod(connection, {
        ...{ namespace, pod: pod?.metadata?.name ?? "", command, container },
        ...{ stdin: invocation.flag("stdin"), tty: invocation.flag("tty"), signal: invocation.signal },
      });
    } finally {
      connection.close();
    }
  },
};

/** Runs a command in a container, joined to this terminal; resolves with its exit code. */
export async function runInPod(
  connection: Connection,
  wanted: {
    readonly namespace: string;
    readonly pod: string;
    readonly command: readonly string[];
    readonly container?: string | undefined;
    readonly stdin: boolean;
    readonly tty: boolean;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const { namespace, pod, command, container, stdin, signal } = wanted;
  const tty = wanted.tty && process.stdin.isTTY;
  const query = new URLSearchParams({ stdout: "true", stderr: String(!tty), stdin: String(stdin), tty: String(tty) });
  for (const part of command) query.append("command", part);
  if (container !== undefined) query.set("container", container);
  const path = `${pathOf(pods, namespace, pod)}/exec?${query}`;
  return await joinTerminal(await openRemote(connection, path, signal), { stdin, tty });
}
