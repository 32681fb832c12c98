// naru debug: adds a container with tools to a running pod, and joins it.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { EphemeralContainer, Pod } from "../../api/kinds/generated/types.ts";
import { realClock, sleep } from "../../lib/clock.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { podsOf, podTargets } from "../pods.ts";
import { namespaceOf, pathOf } from "../resources.ts";
import { attachTo } from "./attach.ts";

const askMs = 100;

export const debug: Command = {
  name: "debug",
  summary: "Add a container with tools to a running pod",
  usage: "debug [-it] POD|KIND/NAME --image IMAGE [--target CONTAINER] [-- COMMAND [ARG…]]",
  examples: [
    "naru debug -it web-5d9c-x7k2p --image busybox --target web -- sh",
    "naru debug deploy/web --image busybox -- ps",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    image: { type: "string", value: "IMAGE", help: "with the tools" },
    target: { type: "string", value: "NAME", help: "container whose processes it sees" },
    container: { type: "string", short: "c", value: "NAME", help: "its own name (default: debugger-N)" },
    stdin: { type: "boolean", short: "i", help: "pass standard input on" },
    tty: { type: "boolean", short: "t", help: "give it a terminal" },
  },
  arguments: [podTargets],
  run: async (invocation) => {
    const [word, ...more] = invocation.positionals;
    const image = invocation.text("image");
    if (word === undefined || image === undefined) throw new UsageError("name a pod and, with --image, the tools");
    const connection = await connect(invocation);
    try {
      const [pod] = await podsOf(connection, namespaceOf(invocation, connection), word);
      if (pod === undefined) throw new Error(`there is no pod for ${word}`);
      const command = [...more, ...invocation.rest];
      const target = invocation.text("target");
      const container: EphemeralContainer = {
        name: invocation.text("container") ?? freeName(pod),
        image,
        imagePullPolicy: "IfNotPresent",
        ...(command.length === 0 ? {} : { command }),
        ...(target === undefined ? {} : { targetContainerName: target }),
        stdin: invocation.flag("stdin"),
        tty: invocation.flag("tty"),
      };
      return await run(connection, { pod, container }, invocation.signal);
    } finally {
      connection.close();
    }
  },
};

function freeName({ spec }: Pod): string {
  const taken = new Set(spec?.ephemeralContainers?.map(({ name }) => name));
  for (let number = 1; ; number++) if (!taken.has(`debugger-${number}`)) return `debugger-${number}`;
}

async function run(
  connection: Connection,
  { pod, container }: { readonly pod: Pod; readonly container: EphemeralContainer },
  signal: AbortSignal,
): Promise<number> {
  const { name: podName = "", namespace = "default" } = pod.metadata ?? {};
  const path = pathOf(pods, namespace, podName);
  const { name, stdin = false, tty = false } = container;
  await connection.send("PATCH", `${path}/ephemeralcontainers`, {
    type: "application/strategic-merge-patch+json",
    body: { spec: { ephemeralContainers: [container] } },
    signal,
  });
  if (stdin || tty) {
    const { pod: started, ended } = await untilStarted(connection, { path, name, accept: "running" }, signal);
    if (ended === undefined) return attachTo(connection, { pod: started, container: name, stdin, tty }, signal);
  } else await untilStarted(connection, { path, name, accept: "running" }, signal);
  // Nothing to type, or it was faster than we: what it writes is in its log.
  const log = await connection.open("GET", `${path}/log?container=${name}&follow=true`, { signal, accept: "*/*" });
  for await (const part of log) process.stdout.write(part as Buffer);
  const { ended } = await untilStarted(connection, { path, name, accept: "ended" }, signal);
  return ended ?? 0;
}

async function untilStarted(
  connection: Connection,
  { path, name, accept }: { readonly path: string; readonly name: string; readonly accept: "running" | "ended" },
  signal: AbortSignal,
): Promise<{ readonly pod: Pod /** With this exit code. */; readonly ended: number | undefined }> {
  let said = "";
  for (;;) {
    const pod = await connection.send<Pod>("GET", path, { signal });
    const state = pod.status?.ephemeralContainerStatuses?.find((status) => status.name === name)?.state;
    if (state?.terminated !== undefined) return { pod, ended: state.terminated.exitCode };
    if (state?.running !== undefined && accept === "running") return { pod, ended: undefined };
    const { reason = "", message = "" } = state?.waiting ?? {};
    const text = `${reason}: ${message}`;
    if (text !== said && message !== "") console.error(text);
    said = text;
    await sleep(realClock, askMs, signal);
  }
}
