// naru debug: adds a container with tools to a running pod, and joins it.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { EphemeralContainer, Pod } from "../../api/kinds/generated/types.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { followContainer } from "../follow-container.ts";
import { podsOf, podTargets } from "../pods.ts";
import { namespaceOf, pathOf } from "../resources.ts";

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
      const { name = "", namespace } = pod.metadata ?? {};
      await connection.send("PATCH", `${pathOf(pods, namespace, name)}/ephemeralcontainers`, {
        type: "application/strategic-merge-patch+json",
        body: { spec: { ephemeralContainers: [container] } },
        signal: invocation.signal,
      });
      return await followContainer(connection, { pod, container }, invocation.signal);
    } finally {
      connection.close();
    }
  },
};

function freeName({ spec }: Pod): string {
  const taken = new Set(spec?.ephemeralContainers?.map(({ name }) => name));
  for (let number = 1; ; number++) if (!taken.has(`debugger-${number}`)) return `debugger-${number}`;
}
