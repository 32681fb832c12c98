// Deletes objects whose owners are gone, and lets go of owners that wait for their dependents.
// Source: Kubernetes, "Garbage Collection" and "Owners and Dependents".
import { resources } from "../api/kinds/generated/resources.ts";
import type { OwnerReference } from "../api/kinds/generated/types.ts";
import { apiVersionOf, type KubeObject, keyOf, type Resource } from "../api/kinds/resource.ts";
import { isReason } from "../api/kinds/status.ts";
import { type Informer, startInformer } from "../client/informer.ts";
import { byOwner, type Informers, type StartController } from "./context.ts";

const foreground = "foregroundDeletion";
const orphan = "orphan";

interface Watched {
  readonly resource: Resource;
  readonly informer: Informer<KubeObject>;
}

export const startGarbageCollector: StartController = (context) => {
  const { client, informers } = context;
  const shared = sharedInformers(informers);
  const own: Informer<KubeObject>[] = [];
  const watched: readonly Watched[] = resources
    .map((resource) => resource as Resource)
    // Events come by thousands and are nobody's property; review kinds are not stored.
    .filter(({ verbs, resource }) => verbs.includes("watch") && verbs.includes("delete") && resource !== "events")
    .map((resource) => {
      const known = shared.get(resource.resource);
      if (known !== undefined) return { resource, informer: known };
      const informer = startInformer<KubeObject>({ ...context, resource, indexes: { [byOwner]: ownerUids } });
      own.push(informer);
      return { resource, informer };
    });

  // A key is "<resource>:<namespace/name>".
  const reconcile = async (key: string) => {
    const [name = "", objectKey = ""] = key.split(/:(.*)/s);
    const found = watched.find(({ resource }) => resource.resource === name);
    const object = found?.informer.get(objectKey);
    if (found === undefined || object === undefined) return undefined;
    if (object.metadata?.deletionTimestamp !== undefined) return letGo(found.resource, object);
    const owners = object.metadata?.ownerReferences ?? [];
    if (owners.length === 0) return undefined;
    const gone = await Promise.all(owners.map((owner) => isGone(owner, object.metadata?.namespace)));
    if (!gone.every(Boolean)) return undefined;
    await remove(found.resource, object);
    return undefined;
  };

  const letGo = async (resource: Resource, owner: KubeObject) => {
    const finalizers = owner.metadata?.finalizers ?? [];
    if (!finalizers.includes(foreground) && !finalizers.includes(orphan)) return undefined;
    const dependents = dependentsOf(owner);
    if (finalizers.includes(orphan)) await Promise.all(dependents.map((one) => disown(one, owner)));
    else {
      await Promise.all(
        dependents
          .filter(({ object }) => object.metadata?.deletionTimestamp === undefined)
          .map((one) => remove(one.resource, one.object)),
      );
      const blocking = dependents.some(({ object }) =>
        object.metadata?.ownerReferences?.some(
          ({ uid, blockOwnerDeletion }) => uid === owner.metadata?.uid && blockOwnerDeletion === true,
        ),
      );
      if (blocking) return undefined;
    }
    const left = finalizers.filter((one) => one !== foreground && one !== orphan);
    await client
      .patch(resource, nameOf(owner), {
        type: "merge",
        body: { metadata: { uid: owner.metadata?.uid, finalizers: left } },
      })
      .catch(ignoreGone);
    return undefined;
  };

  const dependentsOf = (owner: KubeObject) =>
    watched.flatMap(({ resource, informer }) =>
      informer.byIndex(byOwner, owner.metadata?.uid ?? "").map((object) => ({ resource, object })),
    );

  // The cache may lag behind: only the API's own word counts before something is deleted.
  const isGone = async (owner: OwnerReference, namespace: string | undefined): Promise<boolean> => {
    const found = watched.find(
      ({ resource }) => resource.kind === owner.kind && apiVersionOf(resource) === owner.apiVersion,
    );
    if (found === undefined) return false;
    const name = { name: owner.name, ...(found.resource.namespaced && namespace !== undefined ? { namespace } : {}) };
    if (
      found.informer.get(name.namespace === undefined ? owner.name : `${name.namespace}/${owner.name}`)?.metadata
        ?.uid === owner.uid
    )
      return false;
    try {
      return (await client.get(found.resource, name)).metadata?.uid !== owner.uid;
    } catch (error) {
      if (isReason(error, "NotFound")) return true;
      throw error;
    }
  };

  const remove = (resource: Resource, object: KubeObject): Promise<void> =>
    client.delete(resource, nameOf(object), { preconditions: { uid: object.metadata?.uid ?? "" } }).catch(ignoreGone);

  const disown = async (
    { resource, object }: { resource: Resource; object: KubeObject },
    owner: KubeObject,
  ): Promise<void> => {
    const ownerReferences = (object.metadata?.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata?.uid);
    const body = { metadata: { resourceVersion: object.metadata?.resourceVersion, ownerReferences } };
    await client.patch(resource, nameOf(object), { type: "merge", body }).catch((error: unknown) => {
      if (!isReason(error, "NotFound")) throw error;
    });
  };

  const loop = context.loop({ name: "garbage", reconcile, concurrency: 32 });
  for (const { resource, informer } of watched) {
    informer.onChange((key, object, previous) => {
      if (object !== undefined) loop.add(`${resource.resource}:${key}`);
      // Its dependents have lost an owner; its own owners may wait for it.
      else if (previous !== undefined)
        for (const one of dependentsOf(previous)) loop.add(`${one.resource.resource}:${keyOf(one.object)}`);
      for (const owner of previous?.metadata?.ownerReferences ?? [])
        if (object === undefined) addOwner(owner, previous?.metadata?.namespace);
    });
  }
  const addOwner = (owner: OwnerReference, namespace: string | undefined) => {
    const found = watched.find(
      ({ resource }) => resource.kind === owner.kind && apiVersionOf(resource) === owner.apiVersion,
    );
    if (found !== undefined)
      loop.add(`${found.resource.resource}:${found.resource.namespaced ? `${namespace}/` : ""}${owner.name}`);
  };
  return {
    [Symbol.asyncDispose]: async () => {
      await loop[Symbol.asyncDispose]();
      await Promise.all(own.map((informer) => informer[Symbol.asyncDispose]()));
    },
  };
};

function sharedInformers(informers: Informers): ReadonlyMap<string, Informer<KubeObject>> {
  const { claims, volumes, ...sameNames } = informers;
  const all = { ...sameNames, persistentVolumeClaims: claims, persistentVolumes: volumes };
  return new Map(
    Object.entries(all).map(([name, informer]) => [name.toLowerCase(), informer as unknown as Informer<KubeObject>]),
  );
}

function ownerUids(object: KubeObject): readonly string[] {
  return (object.metadata?.ownerReferences ?? []).map(({ uid }) => uid);
}

function nameOf({ metadata }: KubeObject) {
  return {
    name: metadata?.name ?? "",
    ...(metadata?.namespace === undefined ? {} : { namespace: metadata.namespace }),
  };
}

function ignoreGone(error: unknown): void {
  if (!isReason(error, "NotFound", "Conflict")) throw error;
}
