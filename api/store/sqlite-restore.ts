// A copy of a SQLite store: whether it is whole, and its way back to being a store.
import { existsSync } from "node:fs";
import { copyFile, open, rename } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { removeCopy } from "./sqlite-copies.ts";
import { rowsPerRevision } from "./sqlite-database.ts";

/** Revisions go on so far ahead that no client takes an old one for a new one. */
const revisionsAhead = 1_000_000;

export interface CopyFacts {
  readonly revision: number;
  /** That were not deleted. */
  readonly objects: number;
}

/** Throws an Error that says what is wrong with the file. Makes it one file, whatever was beside it. */
export function checkCopy(path: string): CopyFacts {
  if (!existsSync(path)) throw new Error(`there is no file ${path}`);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode = DELETE");
    const { quick_check: answer } = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (answer !== "ok") throw new Error(answer);
    const { seq, objects } = database
      .prepare(
        "SELECT max(seq) AS seq, (SELECT count(*) FROM version AS v WHERE value IS NOT NULL AND seq = (SELECT max(seq) FROM version WHERE key = v.key)) AS objects FROM version",
      )
      .get() as { seq: number | null; objects: number };
    return { revision: Math.floor((seq ?? 0) / rowsPerRevision), objects };
  } catch (cause) {
    throw new Error(`${path} is no whole copy of a store: ${(cause as Error).message}`, { cause });
  } finally {
    database?.close();
  }
}

/**
 * Makes the store `to` from a copy, which stays as it is. Clients and nodes that saw later revisions than the copy's are told to look
 * anew, since revisions jump ahead and the history before is gone.
 */
export async function restoreCopy(from: string, to: string): Promise<CopyFacts> {
  for (const path of [to, `${to}-wal`, `${to}-shm`, `${to}-journal`])
    if (existsSync(path)) throw new Error(`there is a store already, ${path}: stop its server, and move it away first`);
  const partial = `${to}.copy-restore`;
  try {
    await removeCopy(partial);
    await copyFile(from, partial);
    const facts = checkCopy(partial);
    const database = new DatabaseSync(partial);
    const mark = database.prepare("INSERT OR REPLACE INTO mark (name, revision) VALUES ('compacted', ?)");
    mark.run(facts.revision + revisionsAhead);
    database.close();
    const file = await open(partial, "r+");
    await file.chmod(0o600);
    await file.sync();
    await file.close();
    await rename(partial, to);
    return facts;
  } finally {
    await removeCopy(partial);
  }
}
