// What etcd's errors mean to the store.
import { isRecoverableError } from "etcd3";
import { CompactedError, StoreUnavailableError } from "./store.ts";

/** The request never left, so sending it again is safe whatever it does. */
export function isConnectionRefused(error: unknown): boolean {
  const message = messageOf(error);
  return message.includes("No connection established") || message.includes("ECONNREFUSED");
}

/** For requests that may happen twice: the server or the connection to it failed, not the request. */
export function isWorthRetrying(error: unknown): boolean {
  if (isConnectionRefused(error)) return true;
  return (
    error instanceof Error &&
    (isRecoverableError(error) || /etcdserver: (no leader|leader changed)/.test(error.message))
  );
}

export function storeError(what: string, error: unknown): Error {
  const message = messageOf(error);
  if (error instanceof CompactedError) return error;
  if (message.includes("has been compacted")) return new CompactedError(0);
  if (message.includes("database space exceeded")) {
    return new StoreUnavailableError("etcd is full: its space quota is used up", { cause: error });
  }
  return new StoreUnavailableError(`cannot ${what}: etcd: ${message}`, {
    cause: error,
    outcomeUnknown: !isConnectionRefused(error),
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
