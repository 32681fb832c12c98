// What words ask for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../command.ts";
import { askedOf } from "./asked.ts";

const shown = (...words: readonly string[]) =>
  askedOf(words).map(({ resource, names }) => `${resource.resource}: ${names?.join(" ") ?? "all"}`);

test("askedOf takes kinds, names of a kind, and kinds with names, each kind once", () => {
  assert.deepEqual(
    [shown("po"), shown("po,svc"), shown("deploy", "web", "db"), shown("po/a", "svc/b", "pod/c")],
    [["pods: all"], ["pods: all", "services: all"], ["deployments: web db"], ["pods: a c", "services: b"]],
  );
});

test("askedOf refuses an object without a name, or with more than one", () => {
  for (const words of [["pods/"], ["pods/a/b"], ["pods/a", "b"]]) assert.throws(() => askedOf(words), UsageError);
});
