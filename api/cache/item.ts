// Versions and events of objects, each encoded at most once.
import type { KubeObject } from "../kinds/resource.ts";
import type { CachedItem, CacheEvent } from "./watch-cache.ts";

export class Item implements CachedItem {
  readonly key: string;
  readonly revision: number;
  readonly object: KubeObject;
  /** As the store holds it. */
  readonly bytes: number;
  #json: Buffer | undefined;

  constructor(key: string, revision: number, object: KubeObject, bytes: number) {
    this.key = key;
    this.revision = revision;
    this.object = object;
    this.bytes = bytes;
  }

  get json(): Buffer {
    this.#json ??= Buffer.from(JSON.stringify(this.object));
    return this.#json;
  }

  /** Its JSON between `before` and `after`; from then on `json` is a part of that, so that windows of events hold it once. */
  framed(before: Buffer, after: Buffer): Buffer {
    const frame = Buffer.concat([before, this.json, after]);
    this.#json = frame.subarray(before.length, frame.length - after.length);
    return frame;
  }

  /** Its last state under the revision of its deletion. */
  deletedAt(revision: number): Item {
    return new Item(this.key, revision, withRevision(this.object, revision), this.bytes);
  }
}

export class ItemEvent implements CacheEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly item: Item;
  readonly previous: Item | undefined;
  #frame: Buffer | undefined;

  constructor(type: ItemEvent["type"], item: Item, previous: Item | undefined) {
    this.type = type;
    this.item = item;
    this.previous = previous;
  }

  get revision(): number {
    return this.item.revision;
  }

  get frame(): Buffer {
    this.#frame ??= this.item.framed(frameStart[this.type], frameEnd);
    return this.#frame;
  }
}

/** Reads an object as the store holds it. Throws SyntaxError when the value is not JSON. */
export function parseItem(key: string, revision: number, value: Uint8Array): Item {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
  const object = JSON.parse(text) as KubeObject;
  return new Item(key, revision, withRevision(object, revision), value.byteLength);
}

const frameStart = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
};
const frameEnd = Buffer.from("}\n");

function withRevision(object: KubeObject, revision: number): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}
