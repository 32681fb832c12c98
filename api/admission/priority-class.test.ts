// Pods and the priority classes that they name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcessClient } from "../../client/in-process.ts";
import { openTestApi } from "../../test/api.ts";
import { componentUser } from "../authentication/user.ts";
import { pods, priorityclasses } from "../kinds/generated/resources.ts";
import type { PodSpec, PriorityClass } from "../kinds/generated/types.ts";

const refusal = (error: Error) => error.message;

test("a pod gets the number of its class or of the default one, and none of its own priorityClass", async () => {
  await using opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") });
  const pod = (name: string, spec: Partial<PodSpec> = {}) =>
    client
      .create(pods, {
        metadata: { name, namespace: "default" },
        spec: { containers: [{ name: "c", image: "i" }], ...spec },
      })
      .then(({ spec }) => [spec?.priorityClassName, spec?.priority, spec?.preemptionPolicy], refusal);
  const create = (name: string, rest: Partial<PriorityClass>) =>
    client.create(priorityclasses, { metadata: { name }, ...rest }).then(({ value }) => value, refusal);
  const change = (name: string, rest: Partial<PriorityClass>) =>
    client
      .get(priorityclasses, { name })
      .then((found) => client.update(priorityclasses, { ...found, ...rest }))
      .then(({ value }) => value, refusal);
  assert.deepEqual(
    [
      await pod("node", { priorityClassName: "system-node-critical" }),
      await pod("plain"),
      await pod("number", { priority: 7 }),
      await pod("absent", { priorityClassName: "absent" }),
      await create("usual", { value: 10, globalDefault: true, preemptionPolicy: "Never" }),
      await create("other", { value: 20, globalDefault: true }),
      await pod("of-default"),
      await pod("same-number", { priorityClassName: "usual", priority: 10 }),
      await change("usual", { value: 11 }),
      await create("huge", { value: 1_000_000_001 }),
      await create("system-mine", { value: 1 }),
    ],
    [
      ["system-node-critical", 2_000_001_000, "PreemptLowerPriority"],
      [undefined, 0, "PreemptLowerPriority"],
      'pods "number" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name',
      'pods "absent" is forbidden: no PriorityClass with name absent was found',
      10,
      'priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist',
      ["usual", 10, "Never"],
      ["usual", 10, "Never"],
      'PriorityClass.scheduling.k8s.io "usual" is invalid: value: Forbidden: may not be changed in an update.',
      'PriorityClass.scheduling.k8s.io "huge" is invalid: value: Forbidden: maximum allowed value of a user defined priority is 1000000000',
      "PriorityClass.scheduling.k8s.io \"system-mine\" is invalid: metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only",
    ],
  );
});
