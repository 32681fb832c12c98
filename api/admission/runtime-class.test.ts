// Pods and the RuntimeClasses that they name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcessClient } from "../../client/in-process.ts";
import { openTestApi } from "../../test/api.ts";
import { componentUser } from "../authentication/user.ts";
import { pods, runtimeclasses } from "../kinds/generated/resources.ts";
import type { Pod } from "../kinds/generated/types.ts";

const pod = (name: string, spec: Partial<NonNullable<Pod["spec"]>>): Pod => ({
  metadata: { name, namespace: "default" },
  spec: { containers: [{ name: "c", image: "i" }], ...spec },
});

test("a pod gets its class's overhead and places, or is refused with why runtimeClass", async () => {
  await using opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") });
  await client.create(runtimeclasses, {
    metadata: { name: "light" },
    handler: "naru",
    overhead: { podFixed: { memory: "1Mi" } },
    scheduling: { nodeSelector: { fast: "yes" }, tolerations: [{ key: "fast", operator: "Exists" }] },
  });
  const { spec } = await client.create(pods, pod("a", { runtimeClassName: "light", nodeSelector: { disk: "ssd" } }));
  const refused = async (name: string, more: Partial<NonNullable<Pod["spec"]>>) =>
    client.create(pods, pod(name, more)).then(String, (error: Error) => error.message);
  assert.deepEqual(
    {
      overhead: spec?.overhead,
      nodeSelector: spec?.nodeSelector,
      tolerates: spec?.tolerations?.some(({ key }) => key === "fast"),
      refusals: [
        await refused("b", { runtimeClassName: "absent" }),
        await refused("d", { runtimeClassName: "light", nodeSelector: { fast: "no" } }),
        await refused("f", { overhead: { memory: "1Mi" } }),
        await refused("e", { runtimeClassName: "light", overhead: { memory: "2Mi" } }),
      ],
    },
    {
      overhead: { memory: "1Mi" },
      nodeSelector: { disk: "ssd", fast: "yes" },
      tolerates: true,
      refusals: [
        'pods "b" is forbidden: pod rejected: RuntimeClass "absent" not found',
        'pods "d" is forbidden: pod rejected: conflict: runtimeClass.scheduling.nodeSelector and pod.spec.nodeSelector differ in fast',
        'pods "f" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
        "pods \"e\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
      ],
    },
  );
});
