import assert from "node:assert/strict";
import { test } from "node:test";
import { progressOn } from "./progress.ts";

const controls = new RegExp(`(${"\x1b"}\\[\\d*[AJ]|\\r|\\n)`);

/** What a terminal shows after it was written to: of its controls those that progress uses. */
function showOn(columns: number) {
  let rows = [""];
  const write = (text: string) => {
    for (const part of text.split(controls)) {
      if (part.endsWith("A") && controls.test(part)) rows = [...rows.slice(0, -1 - Number(part.slice(2, -1))), ""];
      else if (part === "\n") rows.push("");
      else if (part !== "" && part !== "\r" && !controls.test(part)) {
        rows[rows.length - 1] += part;
        assert.ok((rows.at(-1) ?? "").length < columns, "a line must not wrap");
      }
    }
  };
  return { screen: { isTTY: true, columns, write }, rows: () => rows };
}

test("progressOn keeps a line for each thing that goes on, below those that are done", () => {
  const { screen, rows } = showOn(20);
  const start = progressOn(screen);
  const [a, b] = [start(), start()];
  a.update("a: 1 of 2", "3 MB");
  b.update("b: a line that is much too long");
  a.update("a: 2 of 2");
  a.update("a: 2 of 2", "6 MB");
  assert.deepEqual(rows(), ["a: 2 of 2, 6 MB", "b: a line that is …", ""]);
  a.done("a: pulled");
  assert.deepEqual(rows(), ["a: pulled", "b: a line that is …", ""]);
  b.clear();
  assert.deepEqual(rows(), ["a: pulled", ""]);
});

test("progressOn prints a line for each change where there is no terminal", () => {
  const printed: string[] = [];
  const progress = progressOn({ write: (text) => printed.push(text) })();
  for (const text of ["1 of 2", "1 of 2", "2 of 2"]) progress.update(text, `${Math.random()} MB`);
  progress.clear();
  progress.done("done");
  assert.deepEqual(printed, ["1 of 2\n", "2 of 2\n", "done\n"]);
});
