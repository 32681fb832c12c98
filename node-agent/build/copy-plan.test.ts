import assert from "node:assert/strict";
import { test } from "node:test";
import { pivotOf, planCopy } from "./copy-plan.ts";
import type { FileRecord } from "./files.ts";

const record = (path: string, kind: FileRecord["kind"] = "file"): FileRecord => ({
  ...{ path, kind, mode: 0o644, uid: 0, gid: 0, sizeBytes: 1, detail: "" },
});

test("--parents keeps what stands behind a dot of the source planCopy", () => {
  const sources = ["a/b/c", "./a/b/c", "a/./b/c", "./a/./b/./c", "/a/b/./c"];
  const matches = sources.map((source) => ({ records: [record("a/b/c")], keptFrom: pivotOf(source) }));
  const { placements } = planCopy(matches, { destination: "/to", several: true });
  assert.deepEqual(
    placements.map(({ to }) => to),
    ["to/a/b/c", "to/a/b/c", "to/b/c", "to/b/c", "to/c"],
  );
});

test("what patterns do not find makes nothing planCopy", () => {
  const empty = { directories: [], placements: [] };
  assert.deepEqual(planCopy([], { destination: "/a/b/", several: true }), empty);
  assert.deepEqual(planCopy([], { destination: "/a/b", several: false }), empty);
});

test("a directory's content goes to the destination, a file by its name or as it planCopy", () => {
  const directory = { records: [record("d", "directory"), record("d/e", "directory"), record("d/e/f")] };
  const places = (destination: string, matches: readonly { records: readonly FileRecord[] }[]) => {
    const { directories, placements } = planCopy(matches, { destination, several: matches.length > 1 });
    return [...directories, ...placements.map(({ from, to, mayEnter }) => `${from} ${to}${mayEnter ? "?" : ""}`)];
  };
  assert.deepEqual(
    [
      places("/to", [directory]),
      places("/x/to", [{ records: [record("f")] }]),
      places("/x/to/", [{ records: [record("f")] }]),
      places("/to", [directory, { records: [record("f")] }]),
    ],
    [
      ["to", "d/e to/e", "d/e/f to/e/f"],
      ["x", "f x/to?"],
      ["x/to", "f x/to/f"],
      ["to", "d/e to/e", "d/e/f to/e/f", "f to/f"],
    ],
  );
});
