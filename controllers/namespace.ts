// Empties a namespace that is being deleted, and then lets it go.
import { namespaces, resources } from "../api/kinds/generated/resources.ts";
import type { Namespace, NamespaceCondition } from "../api/kinds/generated/types.ts";
import type { Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import type { StartController } from "./context.ts";
import { type Remaining, remainingConditions } from "./namespace-conditions.ts";

// Objects with finalizers and pods with a grace period take their time: look again.
const lookAgainMs = 500;

export const startNamespaceController: StartController = ({ client, informers, clock, loop: start }) => {
  const contained = resources
    .map((resource) => resource as Resource)
    .filter(({ namespaced, verbs }) => namespaced && verbs.includes("delete"));

  const reconcile = async (name: string) => {
    const namespace = informers.namespaces.get(name);
    if (namespace?.metadata?.deletionTimestamp === undefined) return undefined;
    const left = await Promise.all(contained.map((resource) => empty(resource, name)));
    if (left.some(({ items }) => items.length > 0)) {
      await tell(namespace, left);
      return { afterMs: lookAgainMs };
    }
    const finalizers = (namespace.spec?.finalizers ?? []).filter((one) => one !== "kubernetes");
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name }, spec: { finalizers } };
    await client
      .patch(namespaces, { name }, { type: "merge", subresource: "finalize", body })
      .catch((error: unknown) => {
        if (!isReason(error, "NotFound")) throw error;
      });
    return undefined;
  };

  // Only of what was asked to go before, and is there still: most of it goes at once.
  const tell = async (namespace: Namespace, left: readonly Remaining[]): Promise<void> => {
    if (left.some(({ items }) => items.some(({ metadata }) => metadata?.deletionTimestamp === undefined))) return;
    const conditions = remainingConditions(namespace.status?.conditions, left, clock.now());
    if (textOf(conditions) === textOf(namespace.status?.conditions)) return;
    const body = { status: { conditions } };
    await client
      .patch(namespaces, { name: namespace.metadata?.name ?? "" }, { type: "merge", subresource: "status", body })
      .catch((error: unknown) => {
        if (!isReason(error, "NotFound")) throw error;
      });
  };

  // What was there before this call.
  const empty = async (resource: Resource, namespace: string): Promise<Remaining> => {
    const { items } = await client.list(resource, { namespace });
    await Promise.all(
      items
        .filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
        .map(({ metadata }) =>
          client.delete(resource, { namespace, name: metadata?.name ?? "" }).catch((error: unknown) => {
            if (!isReason(error, "NotFound")) throw error;
          }),
        ),
    );
    return { resource, items };
  };

  const loop = start({ name: "namespace", reconcile, concurrency: 4 });
  informers.namespaces.onChange((key, namespace) => {
    if (namespace?.metadata?.deletionTimestamp !== undefined) loop.add(key);
  });
  return loop;
};

function textOf(conditions: readonly NamespaceCondition[] = []): string {
  return JSON.stringify(conditions.map(({ type, status, message }) => [type, status, message]));
}
