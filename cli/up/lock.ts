// One `naru up` per cluster and folder: the second says who is first.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory } from "../../node-agent/directory-lock.ts";

/** sqlite3.h: somebody else holds the lock. */
const sqliteBusy = 5;

/** Makes both folders. A refusal leaves nothing. */
export function lockCluster(place: {
  readonly name: string;
  readonly runDir: string;
  readonly dataDir: string;
}): Disposable {
  const { name, runDir, dataDir } = place;
  using stack = new DisposableStack();
  const isNew = mkdirSync(runDir, { recursive: true, mode: 0o700 }) !== undefined;
  const holderPath = join(runDir, "up.pid");
  stack.use(
    lockOr(runDir, () => {
      const holder = existsSync(holderPath) ? `, as process ${readFileSync(holderPath, "utf8")}` : "";
      return `the cluster ${name} runs already${holder}: end that first, or give this one another --name`;
    }),
  );
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const elsewhere = `another cluster keeps its state in ${dataDir}: end that first, or give this one another --data`;
  try {
    stack.use(lockOr(dataDir, () => elsewhere));
  } catch (error) {
    if (isNew) rmSync(runDir, { recursive: true, force: true });
    throw error;
  }
  writeFileSync(holderPath, String(process.pid));
  stack.defer(() => rmSync(holderPath, { force: true }));
  return stack.move();
}

function lockOr(directory: string, refusal: () => string): Disposable {
  try {
    return lockDirectory(directory, "up");
  } catch (cause) {
    if ((cause as { cause?: { errcode?: unknown } }).cause?.errcode !== sqliteBusy) throw cause;
    throw new Error(refusal());
  }
}
