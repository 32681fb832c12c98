// Events of a watch, as the client wants to see them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kind } from "../kinds/kind.ts";
import { namespaceKind } from "../kinds/namespace.ts";
import { encodeEvent, type Viewing } from "./views.ts";

test("the age in a Table is that of the event's own time, encodeEvent", () => {
  let nowMs = Date.parse("2026-01-31T12:00:05Z");
  const viewing: Viewing = {
    view: { as: "Table", version: "v1", yaml: false },
    kind: namespaceKind as unknown as Kind,
    now: () => nowMs,
    includeObject: "None",
  };
  const shop = { metadata: { name: "shop", creationTimestamp: "2026-01-31T12:00:00Z" } };
  const ages = [true, false].map((first) => {
    const { object } = JSON.parse(encodeEvent(viewing, "MODIFIED", shop, first).toString());
    nowMs += 60_000;
    return object.rows[0].cells.at(-1);
  });
  assert.deepEqual(ages, ["5s", "65s"]);
});
