import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { ControllerRevision } from "../api/kinds/generated/types.ts";
import { podTemplateHash } from "../api/kinds/pod-template.ts";
import { planRevisions, type RevisionChange } from "./revisions.ts";

const template = { metadata: { labels: { app: "log" } } };
const present = podTemplateHash(template);
const owner = { metadata: { name: "log" }, spec: { template, revisionHistoryLimit: 1 } };
const revisionOf = (hash: string, revision: number): ControllerRevision => ({
  metadata: { name: `log-${hash}`, labels: { "controller-revision-hash": hash } },
  revision,
});
const shown = (changes: readonly RevisionChange[]) =>
  changes.map((change) =>
    change.type === "create"
      ? `create ${change.revision}`
      : `${change.type} ${change.found.metadata?.name}${change.type === "renumber" ? ` ${change.revision}` : ""}`,
  );
const plan = (owned: readonly ControllerRevision[], used: readonly string[] = []) =>
  shown(planRevisions(owner, owned, new Set(used)).changes);

test("planRevisions makes the present template the highest revision, and keeps as many old ones as the limit and pods ask", () => {
  deepEqual(
    [
      plan([]),
      plan([revisionOf("a", 1)]),
      plan([revisionOf("a", 1), revisionOf(present, 2)]),
      plan([revisionOf(present, 1), revisionOf("a", 2)]),
      plan([revisionOf("a", 1), revisionOf("b", 2), revisionOf(present, 3)]),
      plan([revisionOf("a", 1), revisionOf("b", 2), revisionOf(present, 3)], ["a"]),
    ],
    [["create 1"], ["create 2"], [], [`renumber log-${present} 3`], ["remove log-a"], []],
  );
});
