// Who writes what: the main resource never changes status, and a status update never changes anything else.
import type { KubeObject } from "./resource.ts";

interface WithStatus extends KubeObject {
  readonly status?: unknown;
}

export function withoutStatus<T extends WithStatus>(object: T): Omit<T, "status"> {
  const { status: _, ...rest } = object;
  return rest;
}

/** `object` with the status that `old` has. */
export function keepStatus<T extends WithStatus>(object: T, old: T): T {
  const rest = withoutStatus(object);
  return (old.status === undefined ? rest : { ...rest, status: old.status }) as T;
}
