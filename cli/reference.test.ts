import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseInvocation } from "./command.ts";
import { commands } from "./commands.ts";
import { renderReference } from "./reference.ts";

test("renderReference gives what docs/reference/commands.md holds; `npm run generate` writes it", async () => {
  const page = readFileSync(new URL("../docs/reference/commands.md", import.meta.url), "utf8");
  assert.equal(page, await renderReference());
});

test("every command has the list's name and summary, and examples that it understands", async () => {
  const { signal } = new AbortController();
  for (const { name, summary, load } of commands) {
    const command = await load();
    assert.deepEqual([command.name, command.summary], [name, summary]);
    assert.ok(command.examples.length > 0, `${name} has no example`);
    for (const example of command.examples) {
      const words = example.split(/[|<(]/).find((part) => part.includes(`naru ${name}`)) ?? "";
      const [, own = ""] = words.split(`naru ${name}`);
      const args = own
        .replace(/[>$)].*$/, "VALUE")
        .trim()
        .split(/\s+/);
      assert.doesNotThrow(() => parseInvocation(command, args, signal), example);
    }
  }
});

test("parseInvocation tells what was probably meant", async () => {
  const get = await commands.find(({ name }) => name === "get")?.load();
  assert.ok(get !== undefined);
  const complain = (...args: readonly string[]) => {
    try {
      parseInvocation(get, args, new AbortController().signal);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.deepEqual(
    [
      complain("--outptu", "x"),
      complain("--zzzzzz"),
      complain("-z"),
      complain("--output"),
      complain("--output", "-1"),
      complain("pods", "-o", "x"),
    ],
    [
      "there is no option --outptu; did you mean --output?",
      "there is no option --zzzzzz",
      "there is no option -z",
      "--output takes a value: --output FORM",
      '--output takes a value: --output FORM; one that begins with "-" is written --output=-…',
      "",
    ],
  );
});
