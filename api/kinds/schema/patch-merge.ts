// JSON merge patch, RFC 7386.
import { getKey, isObject, type JsonObject, setKey } from "./schema.ts";

/** The value that results; neither argument is changed, parts may be shared. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const from: JsonObject = isObject(target) ? target : {};
  const result: Record<string, unknown> = { ...from };
  for (const name of Object.keys(patch)) {
    if (patch[name] === null) delete result[name];
    else setKey(result, name, mergePatch(getKey(from, name), patch[name]));
  }
  return result;
}
