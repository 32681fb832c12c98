// A YAML document as a tree whose every value knows its file, line and column, so that whatever is wrong can be pointed at. Aliases
// and merge keys are resolved; the tags !reset and !override stay, as they speak about merging files.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Node as YamlNode } from "yaml";

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type Scalar = string | number | boolean | null;

export type Node = ScalarNode | ListNode | MapNode;

export interface ScalarNode {
  readonly type: "scalar";
  readonly place: Place;
  readonly value: Scalar;
  readonly tag?: MergeTag;
}

export interface ListNode {
  readonly type: "list";
  readonly place: Place;
  readonly items: readonly Node[];
  readonly tag?: MergeTag;
}

export interface MapNode {
  readonly type: "map";
  readonly place: Place;
  readonly entries: ReadonlyMap<string, Node>;
  /** Where each key stands. */
  readonly keys: ReadonlyMap<string, Place>;
  readonly tag?: MergeTag;
}

/** `!reset` takes away what an earlier file says, `!override` replaces it whole. */
export type MergeTag = "!reset" | "!override";

export class ComposeError extends Error {
  readonly place: Place;
  constructor(place: Place, message: string) {
    super(`${place.file}:${place.line}:${place.column}: ${message}`);
    this.name = "ComposeError";
    this.place = place;
  }
}

const nodesMax = 500_000;
const depthMax = 100;
const bytesMax = 4 * 1024 * 1024;

/** The first document's tree; throws a ComposeError for what does not parse. An empty text is an empty map. */
export function parseNodes(text: string, file: string): Node {
  const start = { file, line: 1, column: 1 };
  if (text.length > bytesMax) throw new ComposeError(start, `larger than ${bytesMax} bytes`);
  const lines = new LineCounter();
  const documents = parsed(text, lines, start);
  const document = Array.isArray(documents) ? documents[0] : undefined;
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  const error = document?.errors[0];
  if (error !== undefined) throw new ComposeError(placeAt(error.pos[0]), error.message.split(" at line ")[0] ?? "");
  if (document?.contents === null || document === undefined)
    return { type: "map", place: start, entries: new Map(), keys: new Map() };
  return new Builder(placeAt).build(document.contents);
}

/** Of a scalar that is not null. */
export function textOf(node: Node | undefined): string | undefined {
  return node?.type === "scalar" && node.value !== null ? String(node.value) : undefined;
}

function parsed(text: string, lineCounter: LineCounter, start: Place): ReturnType<typeof parseAllDocuments> {
  try {
    return parseAllDocuments(text, { lineCounter, logLevel: "silent" });
  } catch (error) {
    // The parser calls itself for each level.
    if (error instanceof RangeError) throw new ComposeError(start, "nested too deep to be read");
    throw error;
  }
}

class Builder {
  readonly #placeAt: (offset: number) => Place;
  /** What stands for an alias from here on. */
  readonly #anchors = new Map<string, YamlNode>();
  readonly #seen = new Set<YamlNode>();
  #nodes = 0;
  #depth = 0;

  constructor(placeAt: (offset: number) => Place) {
    this.#placeAt = placeAt;
  }

  build(node: YamlNode | null | undefined): Node {
    const place = this.#placeAt(node?.range?.[0] ?? 0);
    // Aliases of aliases multiply, and one that contains itself has no end.
    if (++this.#nodes > nodesMax) throw new ComposeError(place, `more than ${nodesMax} values, with those of aliases`);
    if (++this.#depth > depthMax) throw new ComposeError(place, `nested deeper than ${depthMax}`);
    try {
      return this.#built(node, place);
    } finally {
      this.#depth--;
    }
  }

  #built(node: YamlNode | null | undefined, place: Place): Node {
    if (isAlias(node)) return { ...this.build(this.#anchors.get(node.source)), place };
    if (node?.anchor !== undefined && !this.#seen.has(node)) {
      this.#seen.add(node);
      this.#anchors.set(node.anchor, node);
    }
    const tag = node?.tag === "!reset" || node?.tag === "!override" ? { tag: node.tag as MergeTag } : {};
    if (isSeq(node))
      return { type: "list", place, items: node.items.map((item) => this.build(item as YamlNode)), ...tag };
    if (isMap(node)) return { ...this.#map(node, place), ...tag };
    return { type: "scalar", place, value: isScalar(node) ? scalarOf(node.value) : null, ...tag };
  }

  #map(node: { readonly items: readonly { readonly key: unknown; readonly value: unknown }[] }, place: Place): MapNode {
    const entries = new Map<string, Node>();
    const keys = new Map<string, Place>();
    const merged: Node[] = [];
    for (const { key, value } of node.items) {
      const name = isScalar(key) ? String(key.value) : String(key);
      const built = this.build(value as YamlNode);
      if (name === "<<") merged.push(...(built.type === "list" ? built.items : [built]));
      else {
        entries.set(name, built);
        keys.set(name, this.#placeAt((key as YamlNode).range?.[0] ?? 0));
      }
    }
    for (const from of merged) {
      if (from.type !== "map") throw new ComposeError(from.place, "<< takes a map, such as *alias");
      for (const [name, value] of from.entries) {
        if (entries.has(name)) continue;
        entries.set(name, value);
        keys.set(name, from.keys.get(name) ?? value.place);
      }
    }
    return { type: "map", place, entries, keys };
  }
}

function scalarOf(value: unknown): Scalar {
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value;
  return value === undefined ? null : String(value);
}
