// Finds the fields of an object that nobody acts on yet.
import { at, child } from "./path.ts";
import { getKey, isObject } from "./schema.ts";

/**
 * Paths in `spec` that a kind lists as unsupported and that say something. A pattern is a path below spec, `[]` stands for every element
 * of a list; "type=LoadBalancer" counts only with that value. False, empty and zero values ask for nothing.
 */
export function unsupportedIn(object: unknown, patterns: readonly string[]): readonly string[] {
  const spec = isObject(object) ? object["spec"] : undefined;
  if (!isObject(spec)) return [];
  return patterns.flatMap((pattern) => {
    const [path = "", wanted] = pattern.split("=", 2);
    return found(spec, path.split("."), wanted, "spec");
  });
}

function found(value: unknown, names: readonly string[], wanted: string | undefined, path: string): readonly string[] {
  const [name, ...rest] = names;
  if (name === undefined) return asks(value, wanted) ? [path] : [];
  if (!isObject(value)) return [];
  const listed = name.endsWith("[]");
  const field = listed ? name.slice(0, -2) : name;
  const inside = getKey(value, field);
  if (!listed) return found(inside, rest, wanted, child(path, field));
  if (!Array.isArray(inside)) return [];
  return inside.flatMap((element, i) => found(element, rest, wanted, at(child(path, field), i)));
}

function asks(value: unknown, wanted: string | undefined): boolean {
  if (wanted !== undefined) return value !== undefined && String(value) === wanted;
  if (Array.isArray(value)) return value.length > 0;
  return isObject(value) || Boolean(value);
}
