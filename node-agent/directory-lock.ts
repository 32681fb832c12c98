// One agent per data directory: a lock that ends with its process, however that ends.
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** SQLite's lock on a file. An abstract socket would do as well, but containers in the host's network could reach it or hold its name. */
export function lockDirectory(directory: string): Disposable {
  const file = new DatabaseSync(join(directory, "agent.lock"));
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    file.close();
    throw new Error(`another agent works in ${directory} already`, { cause });
  }
  return { [Symbol.dispose]: () => file.close() };
}
