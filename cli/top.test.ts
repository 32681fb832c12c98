import assert from "node:assert/strict";
import { test } from "node:test";
import { amountsOf } from "./commands/top.ts";

test("amountsOf sums a pod's containers", () => {
  const containers = [
    { name: "a", usage: { cpu: "1500000n", memory: "1024Ki" } },
    { name: "b", usage: { cpu: "2m", memory: "1Ki" } },
  ];
  assert.deepEqual(
    [amountsOf({ containers }), amountsOf({ usage: { cpu: "1", memory: "1Gi" } }), amountsOf({})],
    [
      ["4m", "2Mi"],
      ["1000m", "1024Mi"],
      ["0m", "0Mi"],
    ],
  );
});
