// What the server wants of this node, as last heard: assignments come in, the agent's loops read and are told which key changed.
import type { Assignment } from "../proto/generated/node_pb.ts";
import type { NodeCache, NodeObjects, NodeResource } from "./session-types.ts";

/** The session's own view of the cache. */
export interface AssignmentCache extends NodeCache {
  readonly generation: bigint;
  /**
   * Takes one part of an assignment. "applied": the generation is whole and visible; "partial": more parts must come; "stale": it was
   * applied before; "gap": something before it was lost, so that the session must resume.
   */
  take(assignment: Assignment): "applied" | "partial" | "stale" | "gap";
  /** Generations count anew: another server, or the same one started again. What was wanted stays so until it says otherwise. */
  startEpoch(): void;
  /** Forgets the parts of an assignment that did not become whole: its session ended. */
  dropParts(): void;
  has(resource: NodeResource, key: string): boolean;
}

interface Entry {
  readonly object: NodeObjects[NodeResource];
  readonly json: Uint8Array;
}

type Change = { readonly resource: NodeResource; readonly key: string; readonly entry: Entry | undefined };

const resources: readonly NodeResource[] = [
  "pods",
  "configmaps",
  "secrets",
  "persistentvolumes",
  "persistentvolumeclaims",
  "nodes",
  "services",
  "endpointslices",
  "runtimeclasses",
];

export function openAssignmentCache(): AssignmentCache {
  const entries = new Map<NodeResource, Map<string, Entry>>(resources.map((resource) => [resource, new Map()]));
  const listeners = new Set<(resource: NodeResource, key: string) => void>();
  let syncListeners: (() => void)[] = [];
  let parts: Assignment[] = [];
  let generation = 0n;
  let synced = false;

  const mapOf = (resource: NodeResource): Map<string, Entry> => entries.get(resource) ?? new Map();

  // All changes are visible before the first listener runs: it may read beyond the key that it is told.
  const apply = (whole: readonly Assignment[]) => {
    const changes = planChanges(whole, entries);
    for (const { resource, key, entry } of changes) {
      if (entry === undefined) mapOf(resource).delete(key);
      else mapOf(resource).set(key, entry);
    }
    const nowSynced = !synced;
    synced = true;
    for (const { resource, key } of changes) for (const listener of listeners) listener(resource, key);
    if (!nowSynced) return;
    const waiting = syncListeners;
    syncListeners = [];
    for (const listener of waiting) listener();
  };

  return {
    get: <R extends NodeResource>(resource: R, key: string) =>
      mapOf(resource).get(key)?.object as NodeObjects[R] | undefined,
    list: <R extends NodeResource>(resource: R) =>
      [...mapOf(resource).values()].map((entry) => entry.object as NodeObjects[R]),
    has: (resource, key) => mapOf(resource).has(key),
    get synced() {
      return synced;
    },
    get generation() {
      return generation;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onSynced: (listener) => {
      if (synced) listener();
      else syncListeners.push(listener);
    },
    dropParts: () => {
      parts = [];
    },
    startEpoch: () => {
      generation = 0n;
      parts = [];
    },
    take: (assignment) => {
      if (assignment.generation <= generation) return "stale";
      if (assignment.full) {
        // The first part of a full state starts anew, whatever came before it; the others continue.
        if (parts[0]?.generation !== assignment.generation || !parts[0].full) parts = [];
      } else {
        if (assignment.baseGeneration !== generation) return "gap";
        if (parts[0] !== undefined && parts[0].generation !== assignment.generation) return "gap";
      }
      if (assignment.part !== parts.length) return assignment.part < parts.length ? "stale" : "gap";
      parts.push(assignment);
      if (assignment.more) return "partial";
      const whole = parts;
      parts = [];
      generation = assignment.generation;
      apply(whole);
      return "applied";
    },
  };
}

// Pure: what differs from `present` once these parts are applied; a full state removes what it does not name.
function planChanges(
  parts: readonly Assignment[],
  present: ReadonlyMap<NodeResource, ReadonlyMap<string, Entry>>,
): readonly Change[] {
  const changes = new Map<string, Change>();
  if (parts[0]?.full === true) {
    for (const [resource, map] of present) {
      for (const key of map.keys()) changes.set(`${resource}/${key}`, { resource, key, entry: undefined });
    }
  }
  for (const part of parts) {
    for (const { resource, key } of part.remove) {
      if (isResource(resource) && present.get(resource)?.has(key) === true) {
        changes.set(`${resource}/${key}`, { resource, key, entry: undefined });
      }
    }
    for (const { resource, key, json } of part.put) {
      if (!isResource(resource)) continue; // a newer server may know more
      const old = present.get(resource)?.get(key);
      if (old !== undefined && Buffer.compare(old.json, json) === 0) changes.delete(`${resource}/${key}`);
      else changes.set(`${resource}/${key}`, { resource, key, entry: { object: parse(json), json } });
    }
  }
  return [...changes.values()];
}

function parse(json: Uint8Array): NodeObjects[NodeResource] {
  return JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString());
}

function isResource(resource: string): resource is NodeResource {
  return (resources as readonly string[]).includes(resource);
}
