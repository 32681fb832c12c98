// What each node should have, kept up to date event by event: a change costs what it touches, not what exists. Pure.
import type { PersistentVolume, Pod } from "../kinds/generated/types.ts";
import { type KubeObject, keyOf } from "../kinds/resource.ts";
import { nodesOfVolume } from "../kinds/volume-nodes.ts";
import { isSameForNodes, type NodeResource, nodeResources } from "./projection.ts";
import { referencesOf } from "./references.ts";

/** "resource/key", such as "pods/default/web-1" or "nodes/n1". */
export type ItemKey = string;

function itemKey(resource: NodeResource, key: string): ItemKey {
  return `${resource}/${key}`;
}

export function splitItemKey(item: ItemKey): { readonly resource: NodeResource; readonly key: string } {
  const slash = item.indexOf("/");
  return { resource: item.slice(0, slash) as NodeResource, key: item.slice(slash + 1) };
}

/** Called with what changed for one node, or for all. */
export type Mark = (node: string | "*", item: ItemKey) => void;

const everyNodes: readonly NodeResource[] = ["nodes", "services", "endpointslices", "runtimeclasses"];

export class Desired {
  readonly #mark: Mark;
  readonly #objects = new Map<NodeResource, Map<string, KubeObject>>(nodeResources.map((name) => [name, new Map()]));
  readonly #podsOf = new Map<string, Set<string>>();
  readonly #referencesOf = new Map<string, readonly ItemKey[]>();
  /** Reference -> node -> how many of its pods name it. */
  readonly #users = new Map<ItemKey, Map<string, number>>();

  constructor(mark: Mark) {
    this.#mark = mark;
  }

  get<T extends KubeObject>(resource: NodeResource, key: string): T | undefined {
    return this.#mapOf(resource).get(key) as T | undefined;
  }

  /** Keys of the pods bound to a node. */
  podsOf(node: string): ReadonlySet<string> {
    return this.#podsOf.get(node) ?? noPods;
  }

  put(resource: NodeResource, object: KubeObject): void {
    const key = keyOf(object);
    if (resource === "pods") {
      this.#putPod(key, object);
      return;
    }
    const old = this.#mapOf(resource).get(key);
    this.#mapOf(resource).set(key, object);
    if (old === undefined || !isSameForNodes(resource, old, object)) this.#markChange(resource, key, object);
  }

  remove(resource: NodeResource, key: string): void {
    const old = this.#mapOf(resource).get(key);
    if (resource === "pods") this.#removePod(key);
    else if (old !== undefined && this.#mapOf(resource).delete(key)) this.#markChange(resource, key, old);
  }

  /** After a fresh list: everything in it is there, all else is gone. */
  replace(resource: NodeResource, objects: readonly KubeObject[]): void {
    const names = new Set(objects.map(keyOf));
    for (const key of [...this.#mapOf(resource).keys()]) if (!names.has(key)) this.remove(resource, key);
    for (const object of objects) this.put(resource, object);
  }

  /** The object when this node should have it. */
  wanted(node: string, item: ItemKey): KubeObject | undefined {
    const { resource, key } = splitItemKey(item);
    const object = this.#mapOf(resource).get(key);
    if (object === undefined) return undefined;
    if (resource === "pods") return nodeOf(object) === node ? object : undefined;
    if (resource === "persistentvolumes") return isFor(object, node) ? object : undefined;
    if (everyNodes.includes(resource)) return object;
    return this.#users.get(item)?.has(node) === true ? object : undefined;
  }

  /** Everything that this node should have; pods last, so that what they name comes before. */
  allOf(node: string): ItemKey[] {
    const items: ItemKey[] = [];
    for (const resource of everyNodes)
      for (const key of this.#mapOf(resource).keys()) items.push(itemKey(resource, key));
    for (const [key, volume] of this.#mapOf("persistentvolumes"))
      if (isFor(volume, node)) items.push(itemKey("persistentvolumes", key));
    const references = new Set<ItemKey>();
    const pods = this.podsOf(node);
    for (const key of pods) for (const reference of this.#referencesOf.get(key) ?? []) references.add(reference);
    items.push(...references);
    for (const key of pods) items.push(itemKey("pods", key));
    return items;
  }

  #putPod(key: string, pod: Pod): void {
    const old = this.#mapOf("pods").get(key);
    const node = nodeOf(pod);
    if (old !== undefined && nodeOf(old) !== node) this.#removePod(key);
    if (node === undefined) return;
    this.#mapOf("pods").set(key, pod);
    const isNew = old === undefined || nodeOf(old) !== node;
    if (!isNew && isSameForNodes("pods", old, pod)) return;
    let ofNode = this.#podsOf.get(node);
    if (ofNode === undefined) {
      ofNode = new Set();
      this.#podsOf.set(node, ofNode);
    }
    ofNode.add(key);
    this.#setReferences(key, node, referencesOf(pod));
    this.#mark(node, itemKey("pods", key));
  }

  #removePod(key: string): void {
    const pod = this.#mapOf("pods").get(key);
    const node = pod === undefined ? undefined : nodeOf(pod);
    if (node === undefined) return;
    this.#mapOf("pods").delete(key);
    const ofNode = this.#podsOf.get(node);
    ofNode?.delete(key);
    if (ofNode?.size === 0) this.#podsOf.delete(node);
    this.#setReferences(key, node, []);
    this.#mark(node, itemKey("pods", key));
  }

  // Counts first what comes, then what goes, so that what stays is neither sent again nor removed.
  #setReferences(podKey: string, node: string, references: readonly ItemKey[]): void {
    const old = this.#referencesOf.get(podKey) ?? [];
    for (const item of references) {
      const nodes = this.#users.get(item) ?? new Map<string, number>();
      const count = nodes.get(node) ?? 0;
      nodes.set(node, count + 1);
      this.#users.set(item, nodes);
      if (count === 0) this.#mark(node, item);
    }
    for (const item of old) {
      const nodes = this.#users.get(item);
      const count = nodes?.get(node) ?? 0;
      if (count > 1) {
        nodes?.set(node, count - 1);
        continue;
      }
      nodes?.delete(node);
      if (nodes?.size === 0) this.#users.delete(item);
      this.#mark(node, item);
    }
    if (references.length === 0) this.#referencesOf.delete(podKey);
    else this.#referencesOf.set(podKey, references);
  }

  // A volume stays where it is, so the nodes of its old and its new state are the same.
  #markChange(resource: NodeResource, key: string, object: KubeObject): void {
    const item = itemKey(resource, key);
    if (resource === "persistentvolumes") for (const node of nodesOfVolume(object) ?? ["*"]) this.#mark(node, item);
    else if (everyNodes.includes(resource)) this.#mark("*", item);
    else for (const node of this.#users.get(item)?.keys() ?? []) this.#mark(node, item);
  }

  #mapOf(resource: NodeResource): Map<string, KubeObject> {
    return this.#objects.get(resource) ?? new Map();
  }
}

const noPods: ReadonlySet<string> = new Set();

function isFor(volume: PersistentVolume, node: string): boolean {
  return nodesOfVolume(volume)?.includes(node) !== false;
}

function nodeOf(pod: Pod): string | undefined {
  const node = pod.spec?.nodeName;
  return node === "" ? undefined : node;
}
