// naru scale: sets the number of replicas.
import { type Command, connectionOptions, namespaceOptions, numberOption, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { namespaceOf, pathOf, targetsOf, titleOf } from "../resources.ts";
import { hasRollout, waitForRollout } from "../rollout-wait.ts";

export const scale: Command = {
  name: "scale",
  summary: "Change how many replicas run",
  usage: "scale KIND/NAME… --replicas N [--wait]",
  examples: ["naru scale deployment/web --replicas 10", "naru scale deploy/web --replicas 0 --wait"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    replicas: { type: "string", value: "N", help: "how many shall run" },
    wait: { type: "boolean", help: "wait until they are available" },
  },
  arguments: [{ type: "targets", kinds: ["deployments", "replicasets"] }],
  run: async (invocation) => {
    const replicas = numberOption(invocation, "replicas");
    if (replicas === undefined) throw new UsageError("say how many: --replicas N");
    const connection = await connect(invocation);
    const namespace = namespaceOf(invocation, connection);
    for (const { resource, name } of targetsOf(invocation.positionals)) {
      if (!resource.subresources.some((one) => one.name === "scale"))
        throw new UsageError(`${resource.kind} has no replicas to scale`);
      await connection.send("PATCH", `${pathOf(resource, namespace, name)}/scale`, {
        body: { spec: { replicas } },
        type: "application/merge-patch+json",
        signal: invocation.signal,
      });
      console.log(`${titleOf(resource, name)} scaled to ${replicas}`);
      if (invocation.flag("wait") && hasRollout(resource))
        await waitForRollout(
          connection,
          { name, namespace, resource },
          { signal: invocation.signal, timeoutMs: 600_000 },
        );
    }
    connection.close();
    return 0;
  },
};
