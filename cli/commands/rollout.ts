// naru rollout: follow an update, see its history, go back.
import type { KubeObject, Resource } from "../../api/kinds/resource.ts";
import { type Command, connectionOptions, namespaceOptions, numberOption, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { namespaceOf, pathOf, targetsOf, titleOf } from "../resources.ts";
import { historyOf, type Revision, revisionsIn } from "../revisions.ts";
import { waitForRollout } from "../rollout-wait.ts";
import { printTable } from "../terminal.ts";

export const rollout: Command = {
  name: "rollout",
  summary: "Watch or undo an update",
  usage: "rollout status|undo|history|restart DEPLOYMENT|KIND/NAME",
  examples: [
    "naru rollout status deploy/web",
    "naru rollout undo deploy/web",
    "naru rollout undo ds/log-shipper --to-revision 3",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    timeout: { type: "string", value: "SECONDS", default: "600", help: "give up waiting after that long" },
    "to-revision": { type: "string", value: "N", help: "go back to this revision instead of the last one" },
  },
  arguments: [
    { type: "words", words: ["status", "undo", "history", "restart"] },
    { type: "targets", kinds: ["deployments", "daemonsets"] },
  ],
  run: async (invocation) => {
    const [action, ...words] = invocation.positionals;
    const [target] = targetsOf(words.map((word) => (word.includes("/") ? word : `deployment/${word}`)));
    if (target === undefined || historyOf(target.resource) === undefined)
      throw new UsageError("name a Deployment or a DaemonSet, such as deploy/web or ds/log-shipper");
    const connection = await connect(invocation);
    const where = { ...target, namespace: namespaceOf(invocation, connection) };
    try {
      switch (action) {
        case "status":
          await waitForRollout(connection, where, {
            signal: invocation.signal,
            timeoutMs: (numberOption(invocation, "timeout") ?? 600) * 1000,
          });
          return 0;
        case "undo":
          return await undo(connection, where, numberOption(invocation, "to-revision"));
        case "history":
          return await history(connection, where);
        case "restart": {
          const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
          await connection.send("PATCH", pathOf(where.resource, where.namespace, where.name), {
            body: { spec: { template: { metadata: { annotations } } } },
            type: "application/strategic-merge-patch+json",
          });
          console.log(`${titleOf(where.resource, where.name)} restarted`);
          return 0;
        }
        default:
          throw new UsageError(`rollout takes status, undo, history or restart, got ${JSON.stringify(action)}`);
      }
    } finally {
      connection.close();
    }
  },
};

interface Where {
  readonly resource: Resource;
  readonly name: string;
  readonly namespace: string;
}

async function revisionsOf(connection: Connection, { resource, name, namespace }: Where): Promise<readonly Revision[]> {
  const kept = historyOf(resource);
  if (kept === undefined) return [];
  const owner = await connection.send<KubeObject>("GET", pathOf(resource, namespace, name));
  const { items } = await connection.send<{ items: KubeObject[] }>("GET", pathOf(kept.kept, namespace));
  return revisionsIn(kept, items, owner.metadata?.uid);
}

async function undo(connection: Connection, where: Where, wanted: number | undefined): Promise<number> {
  const revisions = await revisionsOf(connection, where);
  const previous = wanted === undefined ? revisions.at(-2) : revisions.find(({ number }) => number === wanted);
  const known = revisions.map(({ number }) => number).join(", ");
  if (previous === undefined)
    throw new Error(
      wanted === undefined
        ? `no revision to go back to: ${where.name} has only had ${known}`
        : `no revision ${wanted}: there are ${known}`,
    );
  await connection.send("PATCH", pathOf(where.resource, where.namespace, where.name), {
    body: [{ op: "replace", path: "/spec/template", value: previous.template }],
    type: "application/json-patch+json",
  });
  console.log(`${titleOf(where.resource, where.name)} rolled back to revision ${previous.number}`);
  return 0;
}

async function history(connection: Connection, where: Where): Promise<number> {
  const rows = (await revisionsOf(connection, where)).map(({ number, template, changeCause }) => [
    String(number),
    (template?.spec?.containers ?? []).map(({ image }) => image ?? "").join(","),
    changeCause ?? "<none>",
  ]);
  console.log(printTable(["REVISION", "IMAGES", "CHANGE-CAUSE"], rows));
  return 0;
}
