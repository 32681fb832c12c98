import assert from "node:assert/strict";
import { test } from "node:test";
import { ignoreOf, parseIgnore, pathMatcher } from "./patterns.ts";

const paths = ["a", "a/b", "a/b/c.go", "c.go", "x*y", "xay", "ab-d", "b1", "a/.d/e", "[z]"];

test("wildcards fit what Go's do pathMatcher", () => {
  const patterns = [
    "*",
    "?",
    "*/*",
    "**/c.go",
    "a/**",
    "a**",
    "**",
    "[a-c]",
    "[^a-w]*",
    "x\\*y",
    "b[0-9]",
    "[[]z]",
    "[z",
  ];
  assert.deepEqual(
    Object.fromEntries(patterns.map((pattern) => [pattern, paths.filter(pathMatcher(pattern)).join(" ")])),
    {
      "*": "a c.go x*y xay ab-d b1 [z]",
      "?": "a",
      "*/*": "a/b",
      "**/c.go": "a/b/c.go c.go",
      "a/**": "a/b a/b/c.go a/.d/e",
      "a**": "a a/b a/b/c.go ab-d a/.d/e",
      "**": paths.join(" "),
      "[a-c]": "a",
      "[^a-w]*": "x*y xay [z]",
      "x\\*y": "x*y",
      "b[0-9]": "b1",
      "[[]z]": "[z]",
      "[z": "",
    },
  );
});

test("the last line that fits decides, for all that lies below parseIgnore", () => {
  const files = [
    "docs/README.md",
    "docs/a/keep.md",
    "docs/a/x.md",
    "src/a.go",
    "src/a_test.go",
    "x/node_modules/y/z",
    "top.tmp",
  ];
  const left = (text: string) => files.filter((path) => !parseIgnore(text).ignores(path)).join(" ");
  assert.deepEqual(
    [
      left("# docs\n\n**/node_modules\r\n*.tmp\n /docs/ \n!docs/**/keep.md\nsrc/*_test.go\n"),
      left("*\n!src\nsrc/*_test.go"),
      left("**\n!docs/README.md"),
      left("docs/../src\n./top.*"),
      [parseIgnore("docs\n!docs/a/keep.md").mayHold("docs/a"), parseIgnore("docs\n!src").mayHold("docs")],
    ],
    [
      "docs/a/keep.md src/a.go",
      "src/a.go",
      "docs/README.md",
      "docs/README.md docs/a/keep.md docs/a/x.md x/node_modules/y/z",
      [true, false],
    ],
  );
});

test("stars cost no more than their number times the path ignoreOf", () => {
  const ignore = ignoreOf([`${"*a".repeat(40)}*b`, `${"**/a*".repeat(40)}b`]);
  assert.equal(ignore.ignores(`${"a/".repeat(40)}${"a".repeat(4000)}`), false);
});
