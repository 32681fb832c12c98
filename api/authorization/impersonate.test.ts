import assert from "node:assert/strict";
import { test } from "node:test";
import { anonymous, type User } from "../authentication/user.ts";
import { impersonate } from "./impersonate.ts";

const admin: User = { name: "root", groups: ["system:masters", "system:authenticated"] };
const eve: User = { name: "eve", groups: ["system:authenticated"] };

const cases: readonly (readonly [says: string, headers: readonly string[], user: User])[] = [
  ["leaves a request without its headers alone", ["Accept", "*/*"], admin],
  [
    "gives a user no group but everybody's",
    ["Impersonate-User", "bob"],
    { name: "bob", groups: ["system:authenticated"] },
  ],
  [
    "takes groups as they came, each once",
    ["impersonate-user", "bob", "impersonate-group", "a, b", "IMPERSONATE-GROUP", "c", "impersonate-group", "c"],
    { name: "bob", groups: ["a, b", "c", "system:authenticated"] },
  ],
  [
    "gives a service account its groups",
    ["Impersonate-User", "system:serviceaccount:shop:robot"],
    {
      name: "system:serviceaccount:shop:robot",
      groups: ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
    },
  ],
  ["knows a stranger", ["Impersonate-User", "system:anonymous"], { ...anonymous }],
];

for (const [says, headers, user] of cases) {
  test(`impersonate ${says}`, () => assert.deepEqual(impersonate(admin, headers), user));
}

const refusals: readonly (readonly [asker: User, headers: readonly string[], message: string])[] = [
  [
    eve,
    ["Impersonate-User", "bob"],
    'users "bob" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope',
  ],
  [
    eve,
    ["Impersonate-User", "system:serviceaccount:shop:robot"],
    'serviceaccounts "robot" is forbidden: User "eve" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "shop"',
  ],
  [anonymous, ["Impersonate-User", "bob"], "Unauthorized"],
  [admin, ["Impersonate-Group", "a"], "impersonate-group: groups go with a user, who is missing: impersonate-user"],
  [
    admin,
    ["Impersonate-User", "bob", "Impersonate-Uid", "7"],
    "impersonate-uid: users here have a name and groups, and nothing else to take on",
  ],
  [admin, ["Impersonate-User", ""], "impersonate-user: the name is empty"],
];

for (const [asker, headers, message] of refusals) {
  test(`impersonate refuses ${asker.name} ${headers.join(" ")}`, () => {
    assert.throws(() => impersonate(asker, headers), { message });
  });
}
