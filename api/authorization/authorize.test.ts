import assert from "node:assert/strict";
import { test } from "node:test";
import { anonymous } from "../authentication/user.ts";
import type { ResourceAttributes } from "./attributes.ts";
import { allowedBy, authorize } from "./authorize.ts";

const listPods: ResourceAttributes = {
  type: "resource",
  verb: "list",
  group: "",
  resource: "pods",
  subresource: "",
  namespace: "default",
  name: "",
};
const prometheus = { name: "prometheus", groups: ["naru:monitoring", "system:authenticated"] };
const node = { name: "system:node:a", groups: ["system:nodes", "system:authenticated"] };

test("allowedBy names the role that allows a request", () => {
  const admin = { name: "root", groups: ["system:masters"] };
  assert.deepEqual(
    [
      allowedBy(admin, listPods)?.name,
      allowedBy(prometheus, listPods)?.name,
      allowedBy(prometheus, { ...listPods, resource: "secrets" })?.name,
      allowedBy(prometheus, { ...listPods, verb: "delete" })?.name,
      allowedBy(prometheus, { type: "path", verb: "get", path: "/metrics" })?.name,
      allowedBy(node, listPods)?.name,
      allowedBy(anonymous, { type: "path", verb: "get", path: "/healthz" })?.name,
      allowedBy(anonymous, { type: "path", verb: "get", path: "/api" })?.name,
    ],
    [
      "cluster-admin",
      "naru:monitoring",
      undefined,
      undefined,
      "naru:monitoring",
      undefined,
      "system:public-info-viewer",
      undefined,
    ],
  );
});

test("authorize refuses in Kubernetes' words", () => {
  const wanted = { ...listPods, verb: "get", subresource: "log", name: "web" };
  assert.throws(() => authorize(node, wanted), {
    code: 403,
    message:
      'pods "web" is forbidden: User "system:node:a" cannot get resource "pods/log" in API group "" in the namespace "default"',
  });
});
