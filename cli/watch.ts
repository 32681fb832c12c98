// List and watch over HTTPS for commands that follow something on the screen.
import type { KubeObject } from "../api/kinds/resource.ts";
import { errorFromStatus } from "../api/kinds/status.ts";
import { lines } from "../client/http.ts";
import type { Connection } from "./connection.ts";

export interface WatchedObject<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

/** What is there now, then every change, until aborted. `accept` asks for another form, such as a Table per event. */
export async function* watchObjects<T extends KubeObject>(
  connection: Connection,
  path: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): AsyncIterable<WatchedObject<T>> {
  const list = await connection.send<{ metadata: { resourceVersion: string }; items: T[] }>(
    "GET",
    `${path}?${new URLSearchParams(query)}`,
    { signal },
  );
  if (list.items.length === 0 && query["fieldSelector"]?.startsWith("metadata.name=") === true) return;
  for (const object of list.items) yield { type: "ADDED", object };
  yield* followObjects<T>(connection, path, { ...query, resourceVersion: list.metadata.resourceVersion }, signal);
}

/** Changes after `query.resourceVersion`. */
export async function* followObjects<T>(
  connection: Connection,
  path: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
  accept = "application/json",
): AsyncIterable<WatchedObject<T>> {
  const answer = await connection.open("GET", `${path}?${new URLSearchParams({ ...query, watch: "true" })}`, {
    signal,
    accept,
  });
  for await (const line of lines(answer as AsyncIterable<Buffer>)) {
    if (line === "") continue;
    const event = JSON.parse(line) as { type: string; object: T };
    if (event.type === "ERROR") throw errorFromStatus(event.object as object);
    if (event.type === "ADDED" || event.type === "MODIFIED" || event.type === "DELETED")
      yield { type: event.type, object: event.object };
  }
}
