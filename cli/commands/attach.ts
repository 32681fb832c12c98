// naru attach: the streams of a container that runs already.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Container, Pod } from "../../api/kinds/generated/types.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { containerOf, podsOf, podTargets } from "../pods.ts";
import { openRemote } from "../remote-streams.ts";
import { joinTerminal } from "../remote-terminal.ts";
import { namespaceOf, pathOf } from "../resources.ts";

export const attach: Command = {
  name: "attach",
  summary: "Join a running container's input and output",
  usage: "attach [-it] POD|KIND/NAME [-c CONTAINER]",
  examples: ["naru attach web-5d9c-x7k2p", "naru attach -it deploy/shell"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    stdin: { type: "boolean", short: "i", help: "pass standard input on" },
    tty: { type: "boolean", short: "t", help: "standard input is a terminal, as the container's is" },
    container: { type: "string", short: "c", value: "NAME", help: "which container, when there are several" },
  },
  arguments: [podTargets],
  run: async (invocation) => {
    const [word] = invocation.positionals;
    if (word === undefined) throw new UsageError("name a pod, or an object that has pods, such as deploy/web");
    const connection = await connect(invocation);
    try {
      const [pod] = await podsOf(connection, namespaceOf(invocation, connection), word);
      if (pod === undefined) throw new Error(`there is no pod for ${word}`);
      const container = containerOf(pod, invocation.text("container"));
      const streams = { stdin: invocation.flag("stdin"), tty: invocation.flag("tty") };
      return await attachTo(connection, { pod, container, ...streams }, invocation.signal);
    } finally {
      connection.close();
    }
  },
};

export interface Attachment {
  readonly pod: Pod;
  /** undefined: the pod's default one. */
  readonly container: string | undefined;
  readonly stdin: boolean;
  readonly tty: boolean;
}

/** Resolves with the container's exit code, or 0 when the user leaves it. */
export async function attachTo(connection: Connection, wanted: Attachment, signal: AbortSignal): Promise<number> {
  const { pod, container, stdin } = wanted;
  const { name = "", namespace = "default" } = pod.metadata ?? {};
  // The container has a terminal or has none, whatever the user has.
  const terminal = specOf(pod, container)?.tty === true;
  const query = new URLSearchParams({
    stdin: String(stdin),
    stdout: "true",
    stderr: String(!terminal),
    tty: String(terminal),
    ...(container === undefined ? {} : { container }),
  });
  const remote = await openRemote(connection, `${pathOf(pods, namespace, name)}/attach?${query}`, signal);
  return joinTerminal(remote, { stdin, tty: wanted.tty && terminal && process.stdin.isTTY });
}

function specOf({ spec }: Pod, wanted: string | undefined): Container | undefined {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {};
  if (wanted === undefined) return containers[0];
  return [...containers, ...initContainers, ...ephemeralContainers].find(({ name }) => name === wanted);
}
