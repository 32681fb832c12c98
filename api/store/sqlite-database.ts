// The store's tables in SQLite and what is done with them; synchronous, so it runs in the worker thread.
// Every version of every key is a row whose number holds its revision, so that history, watches and compaction walk rows in order.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { assert } from "../../lib/assert.ts";
import { SqliteCopier } from "./sqlite-copier.ts";
import type { Job, Opened, Outcome, PackedEvent, PackedItem, Packer } from "./sqlite-messages.ts";
import { CompactedError, operationsMax, prefixEnd } from "./store.ts";

/** Row number = revision * rowsPerRevision + position within the transaction. */
export const rowsPerRevision = 4096;
const historyPageRows = 2000;
const compactionStepRows = 2000;

interface Row {
  readonly seq: number;
  readonly key: string;
  readonly created: number;
  readonly lease: string | null;
  /** null: the key was deleted. */
  readonly value: Uint8Array | null;
}

const schema = `
  CREATE TABLE IF NOT EXISTS version (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL, lease TEXT, value BLOB) STRICT;
  CREATE INDEX IF NOT EXISTS version_by_key ON version (key);
  CREATE INDEX IF NOT EXISTS version_by_lease ON version (lease) WHERE lease IS NOT NULL;
  CREATE TABLE IF NOT EXISTS lease (lease TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

// Exclusive: a second server on the same file is refused instead of interleaved.
const settings = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 16777216;
  PRAGMA cache_size = -8000;
  PRAGMA user_version = 1;
`;

export interface DatabaseOptions {
  readonly path: string;
  /** Older history is forgotten step by step. */
  readonly historyRevisionsMax: number;
}

export class SqliteDatabase {
  readonly #options: DatabaseOptions;
  #database: DatabaseSync;
  #statements: Statements;
  #revision = 1;
  /** History below is promised gone; rows up to `cleanedRevision` are really gone. */
  #compactedRevision = 1;
  #cleanedRevision = 1;
  #copier: SqliteCopier | undefined;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#database = open(options.path);
    this.#statements = prepare(this.#database);
    this.#readMarks();
  }

  opened(): Opened {
    const leases = this.#database.prepare("SELECT lease, ttl_ms AS ttlMs FROM lease").all();
    return { revision: this.#revision, leases: leases as unknown as Opened["leases"] };
  }

  get revision(): number {
    return this.#revision;
  }

  close(): void {
    this.#copier?.[Symbol.dispose]();
    this.#database.close();
  }

  /** One step of a copy to an empty file; true when it is whole. Nothing is cleaned up until then. */
  copyStep(path: string): boolean {
    this.#reopen();
    this.#copier ??= new SqliteCopier(path, schema);
    let done = true;
    try {
      done = this.#copier.step(this.#database);
    } finally {
      if (done) {
        this.#copier[Symbol.dispose]();
        this.#copier = undefined;
      }
    }
    return done;
  }

  /** All jobs in order and in one durable step; conflicts are answered into `packer`. When it throws, none of them is stored. */
  batch(jobs: readonly Job[], values: Uint8Array, packer: Packer): readonly Outcome[] {
    this.#reopen();
    const before = this.#revision;
    let outcomes: readonly Outcome[] = [];
    let after = before;
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      outcomes = jobs.map((job) => this.#perform(job, values, packer));
      after = this.#revision;
      this.#forgetSome(jobs.length);
      this.#database.exec("COMMIT");
    } catch (cause) {
      this.#recover(cause);
      // A batch is whole or absent: when its last revision is on the disk, it happened although its commit failed.
      if (after === before || this.#revision !== after) throw cause;
    }
    return outcomes;
  }

  range(
    request: { start: string; end: string; limit: number | undefined; revision: number | undefined },
    packer: Packer,
  ) {
    const revision = Math.min(request.revision ?? this.#revision, this.#revision);
    if (revision < this.#compactedRevision) throw new CompactedError(this.#compactedRevision);
    const limit = request.limit ?? -1;
    const rows = this.#statements.range.all(
      request.start,
      request.end,
      (revision + 1) * rowsPerRevision,
      limit === -1 ? -1 : limit + 1,
    ) as unknown as Row[];
    const more = limit !== -1 && rows.length > limit;
    if (more) rows.length = limit;
    return { revision, items: rows.map((row) => packRow(row, packer)), more };
  }

  history(prefix: string, afterRevision: number, packer: Packer) {
    if (afterRevision < this.#compactedRevision) throw new CompactedError(this.#compactedRevision);
    const rows = this.#statements.history.all(
      (afterRevision + 1) * rowsPerRevision,
      prefix,
      prefixEnd(prefix),
      historyPageRows + operationsMax,
    ) as unknown as Row[];
    // Whole revisions only: a full page may end within one.
    const full = rows.length === historyPageRows + operationsMax;
    const last = rows[rows.length - 1];
    const revision = full && last !== undefined ? revisionOf(last) - 1 : this.#revision;
    const events = rows
      .filter((row) => revisionOf(row) <= revision)
      .map((row): PackedEvent => {
        const { key } = row;
        if (row.value === null) return { type: "delete", key, revision: revisionOf(row) };
        return { type: "put", key, revision: revisionOf(row), item: packRow(row, packer) };
      });
    return { revision, events };
  }

  /** One step of forgetting history below `revision`; true when all is forgotten. */
  compactStep(revision: number): boolean {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      this.#setCompacted(Math.min(revision, this.#revision));
      this.#clean(compactionStepRows);
      this.#database.exec("COMMIT");
    } catch (cause) {
      this.#recover(cause);
      throw cause;
    }
    return this.#copier !== undefined || this.#cleanedRevision >= this.#compactedRevision;
  }

  #perform(job: Job, values: Uint8Array, packer: Packer): Outcome {
    switch (job.type) {
      case "transaction":
        return this.#transact(job, values, packer);
      case "grantLease":
        this.#statements.grantLease.run(job.lease, job.ttlMs);
        return { type: "deleted", keys: [] };
      case "endLease":
        return this.#endLease(job.lease);
    }
  }

  #transact(job: Job & { type: "transaction" }, values: Uint8Array, packer: Packer): Outcome {
    for (const { key, modRevision } of job.compares) {
      const head = this.#head(key);
      if ((head === undefined ? 0 : revisionOf(head)) === modRevision) continue;
      const row = head === undefined ? undefined : (this.#statements.row.get(head.seq) as unknown as Row);
      const present = row === undefined ? undefined : packRow(row, packer);
      return { type: "conflict", revision: this.#revision, key, present };
    }
    for (const { lease } of job.operations) {
      if (lease !== undefined && this.#statements.hasLease.get(lease) === undefined)
        return { type: "leaseEnded", lease };
    }
    const revision = this.#revision + 1;
    let seq = revision * rowsPerRevision;
    const created: number[] = [];
    for (const { key, value, lease } of job.operations) {
      const head = this.#head(key);
      const createRevision = head?.created ?? (value === undefined ? 0 : revision);
      created.push(createRevision);
      if (createRevision === 0) continue;
      const bytes = value === undefined ? null : values.subarray(value.start, value.end);
      this.#statements.insert.run(seq++, key, createRevision, lease ?? null, bytes);
    }
    assert(seq <= (revision + 1) * rowsPerRevision, "a transaction has more operations than a revision has rows");
    if (seq > revision * rowsPerRevision) this.#revision = revision;
    return { type: "committed", revision: this.#revision, created };
  }

  #endLease(lease: string): Outcome {
    this.#statements.endLease.run(lease);
    const rows = this.#statements.keysOfLease.all(lease) as unknown as { key: string }[];
    const keys = rows.map(({ key }) => key).filter((key) => this.#head(key)?.lease === lease);
    const deleted: { key: string; revision: number }[] = [];
    for (let i = 0; i < keys.length; i += operationsMax) {
      const revision = ++this.#revision;
      for (const [position, key] of keys.slice(i, i + operationsMax).entries()) {
        const created = this.#head(key)?.created ?? 0;
        this.#statements.insert.run(revision * rowsPerRevision + position, key, created, null, null);
        deleted.push({ key, revision });
      }
    }
    return { type: "deleted", keys: deleted };
  }

  /** The newest version of a key that exists, without its value. */
  #head(key: string): Omit<Row, "value"> | undefined {
    const head = this.#statements.head.get(key) as unknown as (Row & { gone: number }) | undefined;
    return head === undefined || head.gone === 1 ? undefined : head;
  }

  // Keeps pace with the commits: each batch cleans a little more than it adds.
  #forgetSome(jobs: number): void {
    const kept = this.#options.historyRevisionsMax;
    if (this.#revision - this.#compactedRevision > kept * 1.25) this.#setCompacted(this.#revision - kept);
    if (this.#cleanedRevision < this.#compactedRevision) this.#clean(jobs * 4 + operationsMax * 2);
  }

  #setCompacted(revision: number): void {
    if (revision <= this.#compactedRevision) return;
    this.#statements.setMark.run("compacted", revision);
    this.#compactedRevision = revision;
  }

  #clean(rowsMax: number): void {
    if (this.#copier !== undefined) return;
    const end = (this.#compactedRevision + 1) * rowsPerRevision;
    const rows = this.#statements.toClean.all(
      (this.#cleanedRevision + 1) * rowsPerRevision,
      end,
      rowsMax,
    ) as unknown as {
      seq: number;
      key: string;
      gone: number;
    }[];
    for (const { seq, key, gone } of rows) this.#statements.deleteVersions.run(key, gone === 1 ? seq + 1 : seq);
    const last = rows.length < rowsMax ? undefined : rows[rows.length - 1];
    // A revision that is half done is walked again; that does no harm.
    this.#cleanedRevision =
      last === undefined ? this.#compactedRevision : Math.max(this.#cleanedRevision, revisionOf(last) - 1);
    this.#statements.setMark.run("cleaned", this.#cleanedRevision);
  }

  #readMarks(): void {
    const marks = this.#database.prepare("SELECT name, revision FROM mark").all() as {
      name: string;
      revision: number;
    }[];
    const mark = (name: string) => marks.find((found) => found.name === name)?.revision ?? 1;
    const { seq } = this.#database.prepare("SELECT max(seq) AS seq FROM version").get() as { seq: number | null };
    this.#compactedRevision = mark("compacted");
    this.#cleanedRevision = mark("cleaned");
    this.#revision = Math.max(this.#compactedRevision, seq === null ? 1 : Math.floor(seq / rowsPerRevision));
  }

  // After a failed write memory says more than the disk: read it again, through a fresh connection unless the disk is merely full.
  #recover(cause: unknown): void {
    if (isDiskFull(cause)) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } else {
      this.#database.close();
    }
    this.#reopen();
    this.#readMarks();
  }

  #reopen(): void {
    if (this.#database.isOpen) return;
    try {
      this.#database = open(this.#options.path);
    } catch (cause) {
      throw new OutcomeUnknownError(cause);
    }
    this.#statements = prepare(this.#database);
    this.#readMarks();
  }
}

/** The file cannot be opened again after a failed write, so nobody knows what it holds. */
export class OutcomeUnknownError extends Error {
  constructor(cause: unknown) {
    super(`cannot open the file again: ${(cause as Error).message}`, { cause });
  }
}

export function isDiskFull(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode ?? 0;
  return (code & 0xff) === 13;
}

type Statements = ReturnType<typeof prepare>;

function prepare(database: DatabaseSync) {
  const statement = (sql: string): StatementSync => database.prepare(sql);
  return {
    head: statement(
      "SELECT seq, created, lease, value IS NULL AS gone FROM version WHERE key = ? ORDER BY seq DESC LIMIT 1",
    ),
    row: statement("SELECT seq, key, created, value FROM version WHERE seq = ?"),
    insert: statement("INSERT INTO version (seq, key, created, lease, value) VALUES (?, ?, ?, ?, ?)"),
    range: statement(`
      SELECT v.seq, v.key, v.created, v.value
      FROM (SELECT key, max(seq) AS seq FROM version WHERE key >= ? AND key < ? AND seq < ? GROUP BY key) AS newest
      CROSS JOIN version AS v ON v.seq = newest.seq WHERE v.value IS NOT NULL ORDER BY newest.key LIMIT ?`),
    history: statement(
      "SELECT seq, key, created, value FROM version NOT INDEXED WHERE seq >= ? AND key >= ? AND key < ? ORDER BY seq LIMIT ?",
    ),
    toClean: statement(
      "SELECT seq, key, value IS NULL AS gone FROM version WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?",
    ),
    deleteVersions: statement("DELETE FROM version WHERE key = ? AND seq < ?"),
    setMark: statement("INSERT OR REPLACE INTO mark (name, revision) VALUES (?, ?)"),
    grantLease: statement("INSERT OR REPLACE INTO lease (lease, ttl_ms) VALUES (?, ?)"),
    hasLease: statement("SELECT 1 FROM lease WHERE lease = ?"),
    endLease: statement("DELETE FROM lease WHERE lease = ?"),
    keysOfLease: statement("SELECT DISTINCT key FROM version WHERE lease = ? ORDER BY key"),
  };
}

function open(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 1000 });
  try {
    database.exec(settings);
    database.exec(schema);
    return database;
  } catch (cause) {
    database.close();
    throw cause;
  }
}

function revisionOf(row: { readonly seq: number }): number {
  return Math.floor(row.seq / rowsPerRevision);
}

function packRow(row: Row, packer: Packer): PackedItem {
  assert(row.value !== null, "a deleted version has no item");
  return { key: row.key, createRevision: row.created, modRevision: revisionOf(row), value: packer.add(row.value) };
}
