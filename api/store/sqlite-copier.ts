// Copies a store's database into another file step by step, so that commits get in between; runs in the worker thread.
// Versions are only ever added at the end, as long as nobody cleans up meanwhile: the copy is what there is when its last step ends.
import { DatabaseSync, type StatementSync } from "node:sqlite";

const stepRowsMax = 2000;
const stepBytesMax = 4 * 1024 * 1024;

interface Row {
  readonly seq: number;
  readonly key: string;
  readonly created: number;
  readonly lease: string | null;
  readonly value: Uint8Array | null;
}

export class SqliteCopier implements Disposable {
  readonly #to: DatabaseSync;
  readonly #insert: StatementSync;
  #copiedSeq = 0;

  /** The file must be new, or empty. */
  constructor(path: string, schema: string) {
    this.#to = new DatabaseSync(path);
    // Whoever loses power in the middle has no copy, and makes another one.
    this.#to.exec("PRAGMA synchronous = OFF; PRAGMA user_version = 1");
    this.#to.exec(schema);
    this.#to.exec("BEGIN");
    this.#insert = this.#to.prepare("INSERT INTO version (seq, key, created, lease, value) VALUES (?, ?, ?, ?, ?)");
  }

  /** True when all is copied. */
  step(from: DatabaseSync): boolean {
    const rows = from
      .prepare("SELECT seq, key, created, lease, value FROM version WHERE seq > ? ORDER BY seq LIMIT ?")
      .iterate(this.#copiedSeq, stepRowsMax) as Iterable<unknown> as Iterable<Row>;
    let [count, bytes] = [0, 0];
    for (const { seq, key, created, lease, value } of rows) {
      this.#insert.run(seq, key, created, lease, value);
      this.#copiedSeq = seq;
      count++;
      bytes += value?.length ?? 0;
      if (bytes >= stepBytesMax) return false;
    }
    if (count === stepRowsMax) return false;
    const lease = this.#to.prepare("INSERT INTO lease (lease, ttl_ms) VALUES (?, ?)");
    for (const row of from.prepare("SELECT lease, ttl_ms FROM lease").all())
      lease.run(row["lease"] ?? null, row["ttl_ms"] ?? null);
    const mark = this.#to.prepare("INSERT INTO mark (name, revision) VALUES (?, ?)");
    for (const row of from.prepare("SELECT name, revision FROM mark").all())
      mark.run(row["name"] ?? null, row["revision"] ?? null);
    this.#to.exec("COMMIT");
    return true;
  }

  [Symbol.dispose](): void {
    this.#to.close();
  }
}
