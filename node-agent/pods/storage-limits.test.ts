import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { passedLimit } from "./storage-limits.ts";

const pod: Pod = {
  metadata: { uid: "u" },
  spec: {
    volumes: [
      { name: "small", emptyDir: { sizeLimit: "1Ki" } },
      { name: "free", emptyDir: {} },
      { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1" } },
    ],
    containers: [
      { name: "a", resources: { limits: { "ephemeral-storage": "2Ki" } } },
      { name: "b", resources: { limits: { "ephemeral-storage": "4Ki" } } },
      { name: "c" },
    ],
  },
};

test("passedLimit names the first limit that is passed: a volume's, the pod's, a container's", async () => {
  const passed = async (bytes: Readonly<Record<string, number>>) => {
    const attempts = new Map([
      ["a", 0],
      ["b", 2],
      ["c", 0],
    ]);
    const limit = await passedLimit(pod, attempts, {
      volumeBytes: async (_, name) => bytes[name] ?? 0,
      containerBytes: async (_, { id }) => bytes[id] ?? 0,
    });
    return limit?.message;
  };
  assert.deepEqual(
    [
      await passed({ small: 1024, free: 9, memory: 9999 }),
      await passed({ small: 1025 }),
      await passed({ "u.a.0": 2049 }),
      await passed({ free: 3000, "u.a.0": 2000, "u.c.0": 1500 }),
    ],
    [
      undefined,
      'Usage of EmptyDir volume "small" exceeds the limit "1Ki". ',
      'Container a exceeded its local ephemeral storage limit "2Ki". ',
      "Pod ephemeral local storage usage exceeds the total limit of containers 6144. ",
    ],
  );
});
