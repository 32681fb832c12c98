// One agent, or one `naru up`, per directory: a lock that ends with its process, however that ends.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A look by `agentIn` holds the lock for a moment, which an agent that starts then waits for. */
const lookMs = 1000;

/** SQLite's lock on a file. An abstract socket would do as well, but containers in the host's network could reach it or hold its name. */
export function lockDirectory(directory: string, holder = "agent", waitMs = 0): Disposable {
  const file = new DatabaseSync(join(directory, `${holder}.lock`), { timeout: waitMs });
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
  const lock = lockDirectory(directory, "agent", lookMs);
  const path = join(directory, "agent.pid");
  writeFileSync(path, String(process.pid));
  return {
    [Symbol.dispose]: () => {
      rmSync(path, { force: true });
      lock[Symbol.dispose]();
    },
  };
}

/** The process of the agent that works in a directory; undefined: none does, or it is only starting or ending. */
export function agentIn(directory: string): number | undefined {
  const pid = readPid(join(directory, "agent.pid"));
  return pid !== undefined && isLocked(directory) ? pid : undefined;
}

/** Whether an agent has not ended yet that works, or worked, in a directory. */
export function isLocked(directory: string): boolean {
  try {
    lockDirectory(directory)[Symbol.dispose]();
    return false;
  } catch {
    return true;
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
