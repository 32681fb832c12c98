// What every cluster has: its namespaces with their service accounts, the Service of the API itself, classes of volumes, runtimes
// and priorities.
import { assert } from "../lib/assert.ts";
import { componentUser } from "./authentication/user.ts";
import {
  endpointslices,
  namespaces,
  priorityclasses,
  runtimeclasses,
  serviceaccounts,
  services,
  storageclasses,
} from "./kinds/generated/resources.ts";
import type { EndpointSlice, PriorityClass, RuntimeClass, Service, StorageClass } from "./kinds/generated/types.ts";
import { kindOf } from "./kinds/list.ts";
import { localClassName, localDriver } from "./kinds/local-volume.ts";
import { systemClasses } from "./kinds/priority-class.ts";
import type { KubeObject, Resource } from "./kinds/resource.ts";
import { equal } from "./kinds/schema/patch-json.ts";
import { isReason } from "./kinds/status.ts";
import { defaultClassAnnotation } from "./kinds/storage-class.ts";
import type { Context } from "./verbs/context.ts";
import type { Verbs } from "./verbs/verbs.ts";

const clusterNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease", "naru-system"];
const apiServiceIp = "10.96.0.1";
const user = componentUser("apiserver");

/** Can be run at each start, by several servers at once. */
export async function bootstrap(context: Context, verbs: Verbs): Promise<void> {
  const ensure = (resource: Resource, object: KubeObject) => createOnce({ context, verbs }, resource, object);
  await Promise.all(clusterNamespaces.map((name) => ensure(namespaces, { metadata: { name } })));
  await Promise.all(
    clusterNamespaces.map((namespace) => ensure(serviceaccounts, { metadata: { name: "default", namespace } })),
  );
  await ensure(services, apiService(context));
  await ensure(services, registryService);
  await ensure(storageclasses, localClass);
  for (const handler of runtimeHandlers) {
    const runtimeClass: RuntimeClass = { metadata: { name: handler }, handler };
    await ensure(runtimeclasses, runtimeClass);
  }
  for (const [name, value] of systemClasses) {
    const priorityClass: PriorityClass = { metadata: { name }, value };
    await ensure(priorityclasses, priorityClass);
  }
}

// The built-in runtime, and those that nodes find by themselves: pods go where they are.
const runtimeHandlers = ["naru", "runc", "crun"];

// Every node is behind it: a controller says which are ready.
const registryService: Service = {
  metadata: { name: "registry", namespace: "naru-system" },
  spec: { type: "ClusterIP", ports: [{ name: "https", port: 5000, protocol: "TCP", targetPort: 5000 }] },
};

// A folder of the node where the first pod of a claim comes.
const localClass: StorageClass = {
  metadata: { name: localClassName, annotations: { [defaultClassAnnotation]: "true" } },
  provisioner: localDriver,
  reclaimPolicy: "Delete",
  volumeBindingMode: "WaitForFirstConsumer",
};

/** Says under which addresses the Service `kubernetes` finds the API. */
export async function advertise(
  { context, verbs }: { readonly context: Context; readonly verbs: Verbs },
  { addresses, port }: { readonly addresses: readonly string[]; readonly port: number },
): Promise<void> {
  const body: EndpointSlice = {
    metadata: { name: "kubernetes", namespace: "default", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: "https", protocol: "TCP", port }],
  };
  await createOnce({ context, verbs }, endpointslices, body);
  const live = context.cache.get(endpointslices, "default/kubernetes")?.object;
  if (live !== undefined && equal(live.endpoints, body.endpoints) && equal(live.ports, body.ports)) return;
  const kind = kindOf<KubeObject>(endpointslices);
  assert(kind !== undefined, "endpoint slices are stored");
  await verbs.update({ kind, namespace: "default", name: "kubernetes", body, part: "object" }, { user });
}

function apiService(context: Context): Service {
  const free = context.cache.list(services, { index: { name: "clusterIp", value: apiServiceIp } }).items.length === 0;
  return {
    metadata: { name: "kubernetes", namespace: "default", labels: { component: "apiserver", provider: "kubernetes" } },
    spec: {
      ...(free ? { clusterIP: apiServiceIp } : {}),
      ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: 6443 }],
      sessionAffinity: "None",
      type: "ClusterIP",
    },
  };
}

async function createOnce(
  { context, verbs }: { readonly context: Context; readonly verbs: Verbs },
  resource: Resource,
  body: KubeObject,
): Promise<void> {
  const { name = "", namespace } = body.metadata ?? {};
  if (context.cache.get(resource, namespace === undefined ? name : `${namespace}/${name}`) !== undefined) return;
  const kind = kindOf(resource);
  assert(kind !== undefined, `${resource.resource} are stored`);
  const request = { kind, body, ...(namespace === undefined ? {} : { namespace }) };
  await verbs.create(request, { user, fieldValidation: "Ignore" }).catch((error: unknown) => {
    // Another server, or a namespace that somebody is deleting: both are as good as done.
    if (!isReason(error, "AlreadyExists", "Forbidden", "NotFound")) throw error;
  });
}
