// Pods prove who they are: a new pod gets a volume with a token of its service account, the API's authority and its namespace.
// Source: Kubernetes documentation, "Managing Service Accounts", ServiceAccount admission controller and bound token volumes.
import { nameSuffix } from "../../lib/random.ts";
import { serviceaccounts } from "../kinds/generated/resources.ts";
import type { Container, Pod, ServiceAccount, Volume } from "../kinds/generated/types.ts";
import { mirrored } from "../kinds/mirror-pod.ts";
import { ApiError } from "../kinds/status.ts";
import { details } from "../verbs/refusals.ts";
import type { Admission } from "./list.ts";

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const volumePrefix = "kube-api-access-";
/** A little more than an hour, so that one that was left as it is can be told from one that asks for an hour. */
const expirationSeconds = 3607;
const defaultAccount = "default";

export const serviceAccount: Admission = ({ context, kind, namespace = "" }, object) => {
  if (kind.resource.kind !== "Pod") return object;
  const pod: Pod = object;
  const { spec } = pod;
  if (spec === undefined || mirrored(pod) !== undefined) return object;
  const name = spec.serviceAccountName ?? defaultAccount;
  const account = context.cache.get(serviceaccounts, `${namespace}/${name}`)?.object;
  // A namespace gets its default one right after it was made; whoever names another one must have made it.
  if (account === undefined && name !== defaultAccount) throw unknownAccount(kind.resource, pod, { namespace, name });
  const pulling = { ...spec, ...pullSecrets(spec, account) };
  const mounts = spec.automountServiceAccountToken ?? account?.automountServiceAccountToken ?? true;
  const admitted: Pod = {
    ...pod,
    spec: mounts ? withToken(pulling, `${volumePrefix}${nameSuffix(context.random)}`) : pulling,
  };
  return admitted;
};

type Spec = NonNullable<Pod["spec"]>;

function pullSecrets(spec: Spec, account: ServiceAccount | undefined): Pick<Spec, "imagePullSecrets"> {
  if ((spec.imagePullSecrets ?? []).length > 0 || account?.imagePullSecrets === undefined) return {};
  return { imagePullSecrets: account.imagePullSecrets };
}

function withToken(spec: Spec, freshName: string): Spec {
  const { containers, initContainers, volumes = [] } = spec;
  if (![...containers, ...(initContainers ?? [])].some(lacksMount)) return spec;
  const there = volumes.find(({ name }) => name.startsWith(volumePrefix));
  const volume = there ?? tokenVolume(freshName);
  const mounted = (list: readonly Container[]) =>
    list.map((container) => (lacksMount(container) ? withMount(container, volume.name) : container));
  return {
    ...spec,
    volumes: there === undefined ? [...volumes, volume] : volumes,
    containers: mounted(containers),
    ...(initContainers === undefined ? {} : { initContainers: mounted(initContainers) }),
  };
}

function lacksMount({ volumeMounts = [] }: Container): boolean {
  return !volumeMounts.some((mount) => mount.mountPath === mountPath);
}

function withMount(container: Container, name: string): Container {
  return { ...container, volumeMounts: [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }] };
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  };
}

function unknownAccount(
  resource: Parameters<typeof details>[0],
  { metadata }: Pod,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): ApiError {
  const podName = metadata?.name ?? "";
  const why = `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`;
  return new ApiError("Forbidden", `pods ${JSON.stringify(podName)} is forbidden: ${why}`, {
    details: details(resource, podName),
  });
}
