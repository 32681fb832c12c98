// Every namespace has the ServiceAccount that pods use when they name none.
import { serviceaccounts } from "../api/kinds/generated/resources.ts";
import { isReason } from "../api/kinds/status.ts";
import type { StartController } from "./context.ts";

export const startServiceAccountController: StartController = ({ client, informers, loop: start }) => {
  const loop = start({
    name: "serviceaccount",
    reconcile: async (namespace) => {
      const found = informers.namespaces.get(namespace);
      if (found === undefined || found.metadata?.deletionTimestamp !== undefined) return undefined;
      if (informers.serviceAccounts.get(`${namespace}/default`) !== undefined) return undefined;
      await client
        .create(serviceaccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name: "default" } })
        .catch((error: unknown) => {
          if (!isReason(error, "AlreadyExists")) throw error;
        });
      return undefined;
    },
  });
  informers.namespaces.onChange((key) => loop.add(key));
  informers.serviceAccounts.onChange((_, account, previous) => {
    if (account === undefined) loop.add(previous?.metadata?.namespace ?? "");
  });
  return loop;
};
