import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockCluster } from "./lock.ts";

test("lockCluster refuses the same name and the same folder, and leaves nothing of what it refused", () => {
  const folder = mkdtempSync(join(tmpdir(), `naru-lock-${process.pid}-`));
  const lock = (name: string, data: string) =>
    lockCluster({ name, runDir: join(folder, "run", name), dataDir: join(folder, data) });
  try {
    using _first = lock("a", "data-a");
    assert.throws(() => lock("a", "data-b"), {
      message: new RegExp(`the cluster a runs already, as process ${process.pid}`),
    });
    assert.throws(() => lock("b", "data-a"), { message: /^another cluster keeps its state in .*data-a/ });
    assert.deepEqual([readdirSync(folder).sort(), readdirSync(join(folder, "run"))], [["data-a", "run"], ["a"]]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
