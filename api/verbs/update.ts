// UPDATE of an object or of a part of it, such as its status.
import { type Change, changeObject } from "./change.ts";
import type { Written } from "./commit.ts";
import type { Context, Target, WriteOptions } from "./context.ts";
import { decodeObject } from "./decode.ts";

export interface UpdateRequest extends Target {
  readonly body: unknown;
  readonly part: Change["part"];
}

/** With metadata.resourceVersion set, refuses with Conflict when the object has changed since; without, the last writer wins. */
export function updateObject(context: Context, request: UpdateRequest, write: WriteOptions): Promise<Written> {
  const { kind, name, namespace, body, part } = request;
  const decoded = decodeObject(kind, body, { write, name, part, ...(namespace === undefined ? {} : { namespace }) });
  return changeObject(context, { target: request, part, next: () => decoded }, write);
}
