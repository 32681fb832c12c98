// How words of a command line are told apart.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseInvocation } from "./command.ts";
import { compose } from "./commands/compose.ts";

const parsed = (...args: readonly string[]) => {
  const { positionals, rest, flag, texts } = parseInvocation(compose, args, new AbortController().signal);
  return { positionals, rest, noTty: flag("no-tty"), file: texts("file") };
};

test("parseInvocation leaves to another program what stands behind its service, with and without --", () => {
  const expected = { positionals: ["exec", "web"], rest: ["ls", "-la", "--", "-T"], noTty: true, file: ["a.yaml"] };
  assert.deepEqual(parsed("-f", "a.yaml", "exec", "-T", "web", "ls", "-la", "--", "-T"), {
    ...expected,
    ...{ rest: ["ls", "-la", "--", "-T"] },
  });
  assert.deepEqual(parsed("exec", "-T", "web", "--", "ls", "--", "-T"), {
    ...expected,
    rest: ["ls", "--", "-T"],
    file: [],
  });
  assert.deepEqual(parsed("exec", "web"), { positionals: ["exec", "web"], rest: [], noTty: false, file: [] });
  assert.deepEqual(parsed("logs", "web", "-T"), { positionals: ["logs", "web"], rest: [], noTty: true, file: [] });
});
