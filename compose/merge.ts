// Laying one Compose file over another (Compose specification, 13-merge.md): maps by key, lists one after the other, some lists by
// what makes their entries the same, and commands whole.
import { ComposeError, type ListNode, type MapNode, type Node } from "./nodes.ts";

/** Keys whose lists are replaced, not added to. */
const replaced = new Set(["command", "entrypoint", "test"]);
/** Keys that are maps or lists of NAME=value. */
const keyed = new Set([
  "environment",
  "labels",
  "annotations",
  "args",
  "sysctls",
  "extra_hosts",
  "driver_opts",
  "options",
]);

/** `over` wins. `key` is the name that both stand under. */
export function mergeNodes(base: Node, over: Node, key = ""): Node {
  if (over.tag === "!override" || base.type === "scalar" || over.type === "scalar" || replaced.has(key))
    return untagged(over);
  if (keyed.has(key)) return mergeMaps(asMap(base), asMap(over));
  if (key === "depends_on" || key === "networks") return mergeMaps(namesAsMap(base), namesAsMap(over));
  if (base.type === "list" && over.type === "list") return mergeLists(base, over, key);
  if (base.type === "map" && over.type === "map") return mergeMaps(base, over);
  throw new ComposeError(
    over.place,
    `${key} is a ${over.type} here and a ${base.type} in ${base.place.file}:${base.place.line}`,
  );
}

/** Takes out what is tagged !reset. */
export function withoutResets(node: Node): Node {
  if (node.type === "list") return { ...node, items: node.items.map(withoutResets) };
  if (node.type === "scalar") return node;
  const entries = [...node.entries].filter(([, value]) => value.tag !== "!reset");
  return { ...node, entries: new Map(entries.map(([key, value]) => [key, withoutResets(value)])) };
}

/** A list of NAME=value (or NAME) as the map that it stands for. */
export function asMap(node: Node): MapNode {
  if (node.type === "map") return node;
  const entries = new Map<string, Node>();
  const keys = new Map<string, Node["place"]>();
  for (const item of node.type === "list" ? node.items : []) {
    if (item.type !== "scalar") throw new ComposeError(item.place, `expected NAME=value, got a ${item.type}`);
    const text = String(item.value ?? "");
    const at = text.indexOf("=");
    const name = at < 0 ? text : text.slice(0, at);
    entries.set(name, { type: "scalar", place: item.place, value: at < 0 ? null : text.slice(at + 1) });
    keys.set(name, item.place);
  }
  return { type: "map", place: node.place, entries, keys };
}

function namesAsMap(node: Node): MapNode {
  if (node.type === "map") return node;
  const items = node.type === "list" ? node.items : [];
  const names = items.map((item) => [item.type === "scalar" ? String(item.value) : "", item.place] as const);
  return {
    type: "map",
    place: node.place,
    entries: new Map(names.map(([name, place]) => [name, { type: "scalar", place, value: null }])),
    keys: new Map(names),
  };
}

function mergeMaps(base: MapNode, over: MapNode): MapNode {
  const entries = new Map(base.entries);
  for (const [key, value] of over.entries) {
    const below = entries.get(key);
    entries.set(key, below === undefined ? value : value.tag === "!reset" ? value : mergeNodes(below, value, key));
  }
  return { type: "map", place: over.place, entries, keys: new Map([...base.keys, ...over.keys]) };
}

function mergeLists(base: ListNode, over: ListNode, key: string): ListNode {
  const identity = identities[key] ?? ((item: Node) => (item.type === "scalar" ? String(item.value) : undefined));
  const items = [...base.items];
  for (const item of over.items) {
    const name = identity(item);
    const at = name === undefined ? -1 : items.findIndex((other) => identity(other) === name);
    if (at < 0) items.push(item);
    else items[at] = item;
  }
  return { type: "list", place: over.place, items };
}

/** What makes two entries of a list the same one. */
const identities: Readonly<Record<string, (item: Node) => string | undefined>> = {
  volumes: targetOf,
  configs: targetOf,
  secrets: targetOf,
  devices: targetOf,
};

function targetOf(item: Node): string | undefined {
  if (item.type === "map") {
    const target = item.entries.get("target") ?? item.entries.get("source");
    return target?.type === "scalar" ? String(target.value) : undefined;
  }
  if (item.type !== "scalar") return undefined;
  const parts = String(item.value).split(":");
  return parts[1] ?? parts[0];
}

function untagged(node: Node): Node {
  const { tag: _, ...rest } = node;
  return rest as Node;
}
