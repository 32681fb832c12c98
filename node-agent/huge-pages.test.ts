import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTestFolder } from "../test/folders.ts";
import { readHugePages } from "./huge-pages.ts";

test("readHugePages names sizes as pods ask for them", async () => {
  const dir = makeTestFolder("huge-pages");
  try {
    for (const [name, count] of [
      ["hugepages-2048kB", "8\n"],
      ["hugepages-1048576kB", "0\n"],
      ["hugepages-64kB", "2\n"],
    ] as const) {
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, name, "nr_hugepages"), count);
    }
    assert.deepEqual(
      [await readHugePages(dir), await readHugePages(join(dir, "none"))],
      [
        [
          { resource: "hugepages-1Gi", bytes: 0 },
          { resource: "hugepages-2Mi", bytes: 16 << 20 },
          { resource: "hugepages-64Ki", bytes: 128 << 10 },
        ],
        [],
      ],
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});
