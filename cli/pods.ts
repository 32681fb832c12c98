// Finds the pod and container that logs and exec mean.
import { conditionOf } from "../api/kinds/conditions.ts";
import { pods } from "../api/kinds/generated/resources.ts";
import type { LabelSelector, Pod } from "../api/kinds/generated/types.ts";
import type { KubeObject } from "../api/kinds/resource.ts";
import { type Completion, UsageError } from "./command.ts";
import type { Connection } from "./connection.ts";
import { pathOf, resourceOf } from "./resources.ts";

/** What a command takes that works on pods: theirs by name, or what has some. */
export const podTargets: Completion = {
  type: "targets",
  kinds: ["pods", "deployments", "replicasets", "daemonsets", "jobs", "services"],
  bare: true,
};

/** "web-1", "pod/web-1", or an object with a selector such as "deploy/web": then its pods, those that are ready first. */
export async function podsOf(connection: Connection, namespace: string, word: string): Promise<readonly Pod[]> {
  const [kind = "pods", name = ""] = word.includes("/") ? word.split("/") : ["pods", word];
  const resource = resourceOf(kind);
  const object = await connection.send<
    KubeObject & { spec?: { selector?: LabelSelector | Readonly<Record<string, string>> } }
  >("GET", pathOf(resource, namespace, name));
  if (resource.kind === "Pod") return [object as Pod];
  const selector = object.spec?.selector;
  if (selector === undefined) throw new UsageError(`${resource.kind} ${name} selects no pods: name a pod`);
  const labels = (selector as LabelSelector).matchLabels ?? (selector as Readonly<Record<string, string>>);
  const labelSelector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const { items } = await connection.send<{ items: Pod[] }>(
    "GET",
    `${pathOf(pods, namespace)}?${new URLSearchParams({ labelSelector })}`,
  );
  if (items.length === 0) throw new Error(`${resource.kind} ${name} has no pods`);
  return items.sort((a, b) => usefulness(b) - usefulness(a));
}

// What is ending answers no more soon, and what is not ready may not answer yet.
function usefulness({ metadata, status }: Pod): number {
  if (metadata?.deletionTimestamp !== undefined) return 0;
  if (status?.phase !== "Running") return 1;
  return conditionOf(status.conditions, "Ready")?.status === "True" ? 3 : 2;
}

const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container";

/** The container that was named, or the one that a pod with several means when none was: then its user is told. */
export function containerOf(
  { metadata, spec }: Pod,
  named: string | undefined,
  tell: (text: string) => void = (text) => console.error(text),
): string | undefined {
  const names = (spec?.containers ?? []).map(({ name }) => name);
  if (named !== undefined || names.length < 2) return named;
  const annotated = metadata?.annotations?.[defaultContainerAnnotation];
  const container = names.find((name) => name === annotated) ?? names[0];
  tell(`Taking container ${container} of ${names.join(", ")}; -c takes another.`);
  return container;
}
