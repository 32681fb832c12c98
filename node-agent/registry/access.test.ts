// Who may do what at the registry, and how clients' headers and paths are read.
import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { isAllowed, openAccess, tokenOf } from "./access.ts";
import { readRoute } from "./routes.ts";

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

test("tokenOf takes bearer tokens and passwords", () => {
  const headers = ["Bearer abc", basic("any:a:b"), basic("nobody"), basic("any:"), "Digest x", "Bearer", undefined];
  deepEqual(headers.map(tokenOf), ["abc", "a:b", undefined, undefined, undefined, undefined, undefined]);
});

test("isAllowed lets service accounts push below their namespace", () => {
  const caller = { name: "system:serviceaccount:shop:web", groups: ["system:serviceaccounts:shop"] };
  const may = (repository: string) => isAllowed(caller, { verb: "create", repository });
  deepEqual(["shop/app", "shop/a/b", "shop", "shopping/app", "other/shop/app"].map(may), [
    true,
    true,
    false,
    false,
    false,
  ]);
  equal(isAllowed({ name: "admin", groups: ["system:masters"] }, { verb: "delete", repository: "any" }), true);
});

test("openAccess asks the API once in a while, and says no in three ways", async () => {
  const clock = virtualClock();
  let asked = 0;
  const access = openAccess(async (token) => {
    asked++;
    if (token === "down") throw new Error("down");
    return token === "good" ? { caller: { name: "ann", groups: [] }, allowed: false } : undefined;
  }, clock);
  const request = (token: string) =>
    ({ headers: { authorization: `Bearer ${token}` }, socket: { authorized: false } }) as unknown as IncomingMessage;
  const pull = { verb: "get", repository: "app" } as const;
  for (let i = 0; i < 3; i++) equal((await access.check(request("good"), pull)).name, "ann");
  equal(asked, 1);
  await clock.advance(31_000);
  await access.check(request("good"), pull);
  equal(asked, 2);
  await rejects(access.check(request("bad"), pull), { status: 401 });
  await rejects(access.check(request("good"), { verb: "create", repository: "app" }), { status: 403 });
  await rejects(access.check(request("down"), pull), { status: 503 });
});

test("openAccess does not wait for ever for an API that says nothing", async () => {
  const clock = virtualClock();
  const access = openAccess(
    (_token, _wanted, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    clock,
  );
  const request = { headers: { authorization: "Bearer a" }, socket: {} } as unknown as IncomingMessage;
  const refused = rejects(access.check(request, { verb: "get", repository: "app" }), { status: 503 });
  await clock.advance(10_000);
  await refused;
  equal(clock.pending, 0);
});

test("readRoute knows the paths of the spec, repositories with such names too", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const types = [
    "/v2/",
    "/v2/_catalog",
    "/v2/a/tags/list",
    "/v2/a/blobs/uploads/",
    "/v2/a/blobs/uploads/x",
    `/v2/a/b/blobs/${digest}`,
    `/v2/a/manifests/${digest}`,
    "/v2/tags/list/manifests/1",
    `/v2/a/referrers/${digest}`,
  ].map((path) => readRoute(path).type);
  deepEqual(types, ["base", "catalog", "tags", "uploads", "upload", "blob", "manifest", "manifest", "referrers"]);
  for (const path of ["/v2/A/tags/list", "/v2/../x/tags/list", "/v2/a/manifests/%zz", "/v2/a/blobs/sha512:1", "/v2/x"])
    throws(() => readRoute(path), { name: "RegistryError" }, path);
});
