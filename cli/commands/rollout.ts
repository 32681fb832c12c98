// naru rollout: follow an update, see its history, go back.
import { deployments, replicasets } from "../../api/kinds/generated/resources.ts";
import type { Deployment, ReplicaSet } from "../../api/kinds/generated/types.ts";
import { type Command, connectionOptions, namespaceOptions, numberOption, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { namespaceOf, pathOf, targetsOf } from "../resources.ts";
import { waitForRollout } from "../rollout-wait.ts";
import { printTable } from "../terminal.ts";

const revisionAnnotation = "deployment.kubernetes.io/revision";
const hashLabel = "pod-template-hash";

export const rollout: Command = {
  name: "rollout",
  summary: "Watch or undo an update",
  usage: "rollout status|undo|history|restart DEPLOYMENT",
  examples: [
    "naru rollout status deploy/web",
    "naru rollout undo deploy/web",
    "naru rollout undo deploy/web --to-revision 3",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    timeout: { type: "string", value: "SECONDS", default: "600", help: "give up waiting after that long" },
    "to-revision": { type: "string", value: "N", help: "go back to this revision instead of the last one" },
  },
  arguments: [
    { type: "words", words: ["status", "undo", "history", "restart"] },
    { type: "targets", kinds: ["deployments"] },
  ],
  run: async (invocation) => {
    const [action, ...words] = invocation.positionals;
    const [target] = targetsOf(words.map((word) => (word.includes("/") ? word : `deployment/${word}`)));
    if (target === undefined || target.resource.kind !== "Deployment") throw new UsageError("name a Deployment");
    const connection = await connect(invocation);
    const where = { name: target.name, namespace: namespaceOf(invocation, connection) };
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
        case "restart":
          await patch(connection, where, {
            spec: {
              template: {
                metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() } },
              },
            },
          });
          console.log(`deployment.apps/${target.name} restarted`);
          return 0;
        default:
          throw new UsageError(`rollout takes status, undo, history or restart, got ${JSON.stringify(action)}`);
      }
    } finally {
      connection.close();
    }
  },
};

interface Where {
  readonly name: string;
  readonly namespace: string;
}

async function revisionsOf(connection: Connection, { name, namespace }: Where): Promise<readonly ReplicaSet[]> {
  const deployment = await connection.send<Deployment>("GET", pathOf(deployments, namespace, name));
  const { items } = await connection.send<{ items: ReplicaSet[] }>("GET", pathOf(replicasets, namespace));
  return items
    .filter(({ metadata }) => metadata?.ownerReferences?.some(({ uid }) => uid === deployment.metadata?.uid))
    .sort((a, b) => revisionOf(a) - revisionOf(b));
}

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata?.annotations?.[revisionAnnotation] ?? 0);
}

async function undo(connection: Connection, where: Where, wanted: number | undefined): Promise<number> {
  const revisions = await revisionsOf(connection, where);
  const previous = wanted === undefined ? revisions.at(-2) : revisions.find((set) => revisionOf(set) === wanted);
  const known = revisions.map(revisionOf).join(", ");
  if (previous === undefined)
    throw new Error(
      wanted === undefined
        ? `no revision to go back to: ${where.name} has only had ${known}`
        : `no revision ${wanted}: there are ${known}`,
    );
  const template = previous.spec?.template;
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  const body = [
    { op: "replace", path: "/spec/template", value: { ...template, metadata: { ...template?.metadata, labels } } },
  ];
  await connection.send("PATCH", pathOf(deployments, where.namespace, where.name), {
    body,
    type: "application/json-patch+json",
  });
  console.log(`deployment.apps/${where.name} rolled back to revision ${revisionOf(previous)}`);
  return 0;
}

async function history(connection: Connection, where: Where): Promise<number> {
  const revisions = await revisionsOf(connection, where);
  const rows = revisions.map((set) => [
    String(revisionOf(set)),
    (set.spec?.template?.spec?.containers ?? []).map(({ image }) => image ?? "").join(","),
    String(set.status?.replicas ?? 0),
    set.metadata?.annotations?.["kubernetes.io/change-cause"] ?? "<none>",
  ]);
  console.log(printTable(["REVISION", "IMAGES", "PODS", "CHANGE-CAUSE"], rows));
  return 0;
}

function patch(connection: Connection, { name, namespace }: Where, body: unknown): Promise<unknown> {
  return connection.send("PATCH", pathOf(deployments, namespace, name), {
    body,
    type: "application/strategic-merge-patch+json",
  });
}
