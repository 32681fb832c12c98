// One agent, or one `naru up`, per directory: a lock that ends with its process, however that ends.
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** SQLite's lock on a file. An abstract socket would do as well, but containers in the host's network could reach it or hold its name. */
export function lockDirectory(directory: string, holder = "agent"): Disposable {
  const file = new DatabaseSync(join(directory, `${holder}.lock`));
  try {
    file.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    file.close();
    throw new Error(`another ${holder} works in ${directory} already`, { cause });
  }
  return { [Symbol.dispose]: () => file.close() };
}
