// One agent, or one `naru up`, per directory: a lock that ends with its process, however that ends.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
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

/** And says which process holds it. */
export function lockAgent(directory: string): Disposable {
  const lock = lockDirectory(directory);
  const path = join(directory, "agent.pid");
  writeFileSync(path, String(process.pid));
  return {
    [Symbol.dispose]: () => {
      rmSync(path, { force: true });
      lock[Symbol.dispose]();
    },
  };
}

/** The process of the agent that works in a directory; undefined: none does. */
export function agentIn(directory: string): number | undefined {
  try {
    lockDirectory(directory)[Symbol.dispose]();
    return undefined;
  } catch {
    const pid = Number(readFileSync(join(directory, "agent.pid"), "utf8"));
    if (!Number.isSafeInteger(pid) || pid <= 1) throw new Error(`${directory}/agent.pid names no process`);
    return pid;
  }
}
