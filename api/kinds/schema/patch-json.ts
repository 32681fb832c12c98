// JSON patch, RFC 6902, with errors that name the operation and the path.
import { ApiError } from "../status.ts";
import { isObject, setKey } from "./schema.ts";

const operationsMax = 10_000;
const copiedCharsMax = 3 * 1024 * 1024;

/** A new document; refuses with ApiError BadRequest (no patch) or Invalid (does not fit the document). */
export function jsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new ApiError("BadRequest", "a JSON patch is an array of operations");
  if (patch.length > operationsMax) {
    throw new ApiError(
      "RequestEntityTooLarge",
      `a JSON patch may have ${operationsMax} operations, got ${patch.length}`,
    );
  }
  // One copy, which all operations change in place: a copy for each would take the square of what a client may send.
  const holder: Holder = { root: structuredClone(document) };
  let copiedChars = 0;
  for (const [i, raw] of patch.entries()) {
    const operation = readOperation(raw, i);
    if (operation.op === "copy") {
      copiedChars += JSON.stringify(read(holder.root, operation.from, operation))?.length ?? 0;
      if (copiedChars > copiedCharsMax) {
        throw new ApiError("RequestEntityTooLarge", `a JSON patch may copy ${copiedCharsMax} characters`);
      }
    }
    perform(holder, operation);
  }
  return holder.root;
}

/** The document, which an operation on the empty path replaces. */
interface Holder {
  root: unknown;
}

interface Operation {
  readonly index: number;
  readonly op: string;
  readonly path: readonly string[];
  readonly from: readonly string[];
  readonly value: unknown;
}

function readOperation(raw: unknown, index: number): Operation {
  const wrong = (detail: string) => new ApiError("BadRequest", `JSON patch operation ${index}: ${detail}`);
  if (!isObject(raw)) throw wrong("must be an object");
  const { op, path, from, value } = raw;
  if (typeof op !== "string" || !["add", "remove", "replace", "move", "copy", "test"].includes(op)) {
    throw wrong(`op must be add, remove, replace, move, copy or test, got ${JSON.stringify(op)}`);
  }
  const moves = op === "move" || op === "copy";
  if (typeof path !== "string") throw wrong("path is missing");
  if (moves && typeof from !== "string") throw wrong("from is missing");
  if ((op === "add" || op === "replace" || op === "test") && !Object.hasOwn(raw, "value"))
    throw wrong("value is missing");
  const pointer = (text: string) => {
    if (text !== "" && !text.startsWith("/")) throw wrong(`${JSON.stringify(text)} must be empty or start with "/"`);
    return text
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  };
  return { index, op, path: pointer(path), from: moves ? pointer(String(from)) : [], value };
}

function perform(holder: Holder, operation: Operation): void {
  const { op, path, from, value } = operation;
  switch (op) {
    case "add":
      // The patch may be tried again on another state of the object: what is in it stays as it came.
      insert(holder, operation, structuredClone(value));
      return;
    case "remove":
      remove(holder, path, operation);
      return;
    case "replace":
      read(holder.root, path, operation);
      set(holder, operation, structuredClone(value));
      return;
    case "test":
      if (!equal(read(holder.root, path, operation), value)) throw misfit(operation, "the value there is another");
      return;
    case "copy":
      insert(holder, operation, structuredClone(read(holder.root, from, operation)));
      return;
    default: {
      if (path.length > from.length && from.every((part, i) => part === path[i])) {
        throw misfit(operation, "cannot move a value into itself");
      }
      const moved = read(holder.root, from, operation);
      remove(holder, from, operation);
      insert(holder, operation, moved);
    }
  }
}

function read(document: unknown, path: readonly string[], operation: Operation): unknown {
  let value = document;
  for (const name of path) {
    if (Array.isArray(value)) value = value[indexIn(name, value.length, operation)];
    else if (isObject(value) && Object.hasOwn(value, name)) value = value[name];
    else throw misfit(operation, "nothing is there");
  }
  return value;
}

/** The container that a path's last part is in, and that part; undefined for the document itself. */
function placeOf({ root }: Holder, path: readonly string[], operation: Operation) {
  const name = path.at(-1);
  return name === undefined ? undefined : { parent: read(root, path.slice(0, -1), operation), name };
}

function insert(holder: Holder, operation: Operation, value: unknown): void {
  const { parent, name = "" } = placeOf(holder, operation.path, operation) ?? {};
  if (Array.isArray(parent))
    parent.splice(name === "-" ? parent.length : indexIn(name, parent.length + 1, operation), 0, value);
  else set(holder, operation, value);
}

function set(holder: Holder, operation: Operation, value: unknown): void {
  const place = placeOf(holder, operation.path, operation);
  if (place === undefined) holder.root = value;
  else if (Array.isArray(place.parent)) place.parent[indexIn(place.name, place.parent.length, operation)] = value;
  else if (isObject(place.parent)) setKey(place.parent, place.name, value);
  else throw misfit(operation, "its parent is neither an object nor an array");
}

function remove(holder: Holder, path: readonly string[], operation: Operation): void {
  read(holder.root, path, operation);
  const place = placeOf(holder, path, operation);
  if (place === undefined) holder.root = undefined;
  else if (Array.isArray(place.parent)) place.parent.splice(indexIn(place.name, place.parent.length, operation), 1);
  else delete (place.parent as Record<string, unknown>)[place.name];
}

function indexIn(name: string, length: number, operation: Operation): number {
  const index = /^(?:0|[1-9]\d{0,8})$/.test(name) ? Number(name) : -1;
  if (index < 0 || index >= length) throw misfit(operation, `${JSON.stringify(name)} is no index of it`);
  return index;
}

/** RFC 6902, section 4.6: equal as JSON, whatever the order of members. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((value, i) => equal(value, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]))
  );
}

function misfit({ index, op, path, from }: Operation, detail: string): ApiError {
  const target = op === "move" || op === "copy" ? `${pointerText(from)} to ${pointerText(path)}` : pointerText(path);
  return new ApiError("Invalid", `JSON patch operation ${index} (${op} ${target}): ${detail}`);
}

function pointerText(path: readonly string[]): string {
  return JSON.stringify(path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""));
}
