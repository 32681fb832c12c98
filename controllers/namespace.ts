// Empties a namespace that is being deleted, and then lets it go.
import { namespaces, resources } from "../api/kinds/generated/resources.ts";
import type { Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import type { StartController } from "./context.ts";

// Objects with finalizers and pods with a grace period take their time: look again.
const lookAgainMs = 500;

export const startNamespaceController: StartController = ({ client, informers, loop: start }) => {
  const contained = resources
    .map((resource) => resource as Resource)
    .filter(({ namespaced, verbs }) => namespaced && verbs.includes("delete"));

  const reconcile = async (name: string) => {
    const namespace = informers.namespaces.get(name);
    if (namespace?.metadata?.deletionTimestamp === undefined) return undefined;
    const left = await Promise.all(contained.map((resource) => empty(resource, name)));
    if (left.some((count) => count > 0)) return { afterMs: lookAgainMs };
    const finalizers = (namespace.spec?.finalizers ?? []).filter((one) => one !== "kubernetes");
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name }, spec: { finalizers } };
    await client
      .patch(namespaces, { name }, { type: "merge", subresource: "finalize", body })
      .catch((error: unknown) => {
        if (!isReason(error, "NotFound")) throw error;
      });
    return undefined;
  };

  // How many were there before this call.
  const empty = async (resource: Resource, namespace: string): Promise<number> => {
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
    return items.length;
  };

  const loop = start({ name: "namespace", reconcile, concurrency: 4 });
  informers.namespaces.onChange((key, namespace) => {
    if (namespace?.metadata?.deletionTimestamp !== undefined) loop.add(key);
  });
  return loop;
};
