// Which services an action of compose is about.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../../api/kinds/resource.ts";
import { convertCompose } from "../../compose/convert.ts";
import { loadCompose } from "../../compose/load.ts";
import { UsageError } from "../command.ts";
import { scaledOnes } from "./lifecycle.ts";
import { servicesToStart } from "./objects.ts";
import { startedBy } from "./up.ts";

const text = `services:
  web: { image: a, depends_on: [api] }
  api: { image: a, depends_on: [db] }
  db: { image: a }
  other: { image: a }
`;
const readText = (path: string) => (path === "/p/compose.yaml" ? text : undefined);
const { objects } = convertCompose(loadCompose(["/p/compose.yaml"], { readText, variables: {}, profiles: [] }), {
  readText,
});
const titles = (list: readonly KubeObject[]) => list.map(({ kind, metadata }) => `${kind}/${metadata?.name}`);

test("servicesToStart gives those that are named with all that they need", () => {
  assert.deepEqual(servicesToStart(objects, ["api"]), new Set(["api", "db"]));
  assert.deepEqual(servicesToStart(objects, []), new Set(["web", "api", "db", "other"]));
  assert.deepEqual(
    titles(startedBy(objects, new Set(["db"]))).filter((title) => title.startsWith("Deployment/")),
    ["Deployment/db"],
  );
});

test("scaledOnes gives only the services that are named, with their new numbers", () => {
  assert.deepEqual(titles(scaledOnes(objects, ["web=3"])), ["Deployment/web"]);
  assert.throws(() => scaledOnes(objects, []), UsageError);
});
