// Every namespace holds the authority that signs the API's certificate, so that its pods know whom they talk to.
import { configmaps } from "../api/kinds/generated/resources.ts";
import type { ConfigMap } from "../api/kinds/generated/types.ts";
import { isReason } from "../api/kinds/status.ts";
import { startInformer } from "../client/informer.ts";
import type { StartController } from "./context.ts";

const name = "kube-root-ca.crt";
const about =
  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc.";

/** What the namespace's ConfigMap should become; undefined: it is right as it is. */
export function planRootCa(
  namespace: string,
  found: ConfigMap | undefined,
  authorityPem: string,
): ConfigMap | undefined {
  const data = { "ca.crt": authorityPem };
  if (found === undefined) {
    const metadata = { namespace, name, annotations: { "kubernetes.io/description": about } };
    return { apiVersion: "v1", kind: "ConfigMap", metadata, data };
  }
  const isRight = found.data?.["ca.crt"] === authorityPem && Object.keys(found.data).length === 1;
  return isRight && found.binaryData === undefined ? undefined : { ...withoutBinary(found), data };
}

export const startRootCaController: StartController = (options) => {
  const { client, informers, authorityPem, loop: start } = options;
  const own = startInformer({
    ...options,
    resource: configmaps,
    selection: { fieldSelector: `metadata.name=${name}` },
  });
  const loop = start({
    name: "root-ca",
    reconcile: async (namespace) => {
      await own.whenSynced;
      const found = informers.namespaces.get(namespace);
      if (found === undefined || found.metadata?.deletionTimestamp !== undefined) return undefined;
      const had = own.get(`${namespace}/${name}`);
      const wanted = planRootCa(namespace, had, authorityPem);
      if (wanted === undefined) return undefined;
      const write = had === undefined ? client.create(configmaps, wanted) : client.update(configmaps, wanted);
      await write.catch((error: unknown) => {
        if (!isReason(error, "AlreadyExists", "Conflict", "NotFound")) throw error;
      });
      return undefined;
    },
  });
  informers.namespaces.onChange((key) => loop.add(key));
  own.onChange((key) => loop.add(key.slice(0, key.indexOf("/"))));
  return {
    [Symbol.asyncDispose]: async () => {
      await loop[Symbol.asyncDispose]();
      await own[Symbol.asyncDispose]();
    },
  };
};

function withoutBinary({ binaryData: _, ...rest }: ConfigMap): ConfigMap {
  return rest;
}
