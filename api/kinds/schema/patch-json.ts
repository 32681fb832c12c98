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
  let copiedChars = 0;
  return patch.reduce((current: unknown, raw: unknown, i) => {
    const operation = readOperation(raw, i);
    if (operation.op === "copy") {
      copiedChars += JSON.stringify(read(current, operation.from, operation))?.length ?? 0;
      if (copiedChars > copiedCharsMax) {
        throw new ApiError("RequestEntityTooLarge", `a JSON patch may copy ${copiedCharsMax} characters`);
      }
    }
    return perform(current, operation);
  }, document);
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

function perform(document: unknown, operation: Operation): unknown {
  const { op, path, from, value } = operation;
  switch (op) {
    case "add":
      return changed(document, path, operation, (parent, name) => insert(parent, name, value, operation));
    case "remove":
      return changed(document, path, operation, (parent, name) => remove(parent, name, operation));
    case "replace":
      return changed(document, path, operation, (parent, name) => replace(parent, name, value, operation));
    case "test":
      if (!equal(read(document, path, operation), value)) throw misfit(operation, "the value there is another");
      return document;
    case "copy": {
      const copy = read(document, from, operation);
      return changed(document, path, operation, (parent, name) => insert(parent, name, copy, operation));
    }
    default: {
      if (path.length > from.length && from.every((part, i) => part === path[i])) {
        throw misfit(operation, "cannot move a value into itself");
      }
      const moved = read(document, from, operation);
      const without = changed(document, from, operation, (parent, name) => remove(parent, name, operation));
      return changed(without, path, operation, (parent, name) => insert(parent, name, moved, operation));
    }
  }
}

type Change = (parent: unknown, name: string) => unknown;

/** A copy of the document along `path`, with `change` made to the last container. The empty path is the document itself. */
function changed(document: unknown, path: readonly string[], operation: Operation, change: Change): unknown {
  const [name, ...rest] = path;
  if (name === undefined) {
    const holder = change({ "": document }, "");
    return isObject(holder) ? holder[""] : undefined;
  }
  if (rest.length === 0) return change(document, name);
  return replace(document, name, changed(read(document, [name], operation), rest, operation, change), operation);
}

function read(document: unknown, path: readonly string[], operation: Operation): unknown {
  let value = document;
  for (const name of path) {
    if (Array.isArray(value)) value = value[indexIn(value, name, operation)];
    else if (isObject(value) && Object.hasOwn(value, name)) value = value[name];
    else throw misfit(operation, "nothing is there");
  }
  return value;
}

function insert(parent: unknown, name: string, value: unknown, operation: Operation): unknown {
  if (Array.isArray(parent)) {
    const index = name === "-" ? parent.length : indexIn([...parent, null], name, operation);
    return parent.toSpliced(index, 0, value);
  }
  if (!isObject(parent)) throw misfit(operation, "its parent is neither an object nor an array");
  const result = { ...parent };
  setKey(result, name, value);
  return result;
}

function remove(parent: unknown, name: string, operation: Operation): unknown {
  if (Array.isArray(parent)) return parent.toSpliced(indexIn(parent, name, operation), 1);
  read(parent, [name], operation);
  const result: Record<string, unknown> = { ...(isObject(parent) ? parent : {}) };
  delete result[name];
  return result;
}

function replace(parent: unknown, name: string, value: unknown, operation: Operation): unknown {
  if (Array.isArray(parent)) return parent.with(indexIn(parent, name, operation), value);
  read(parent, [name], operation);
  return insert(parent, name, value, operation);
}

function indexIn(list: readonly unknown[], name: string, operation: Operation): number {
  const index = /^(?:0|[1-9]\d{0,8})$/.test(name) ? Number(name) : -1;
  if (index < 0 || index >= list.length) throw misfit(operation, `${JSON.stringify(name)} is no index of it`);
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
