import assert from "node:assert/strict";
import { test } from "node:test";
import { planRootCa } from "./root-ca.ts";

test("planRootCa makes the ConfigMap, puts back what was changed, leaves alone what is right", () => {
  const made = planRootCa("a", undefined, "pem");
  const data = { "ca.crt": "pem" };
  assert.deepEqual(
    [
      made?.metadata?.name,
      made?.data,
      planRootCa("a", made, "pem"),
      planRootCa("a", { ...made, data: { "ca.crt": "forged" } }, "pem")?.data,
      planRootCa("a", { ...made, data: { ...data, more: "x" } }, "pem")?.data,
      planRootCa("a", { metadata: { name: "x" }, data, binaryData: { b: "" } }, "pem"),
    ],
    ["kube-root-ca.crt", data, undefined, data, data, { metadata: { name: "x" }, data }],
  );
});
