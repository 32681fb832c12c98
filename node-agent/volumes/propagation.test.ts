import assert from "node:assert/strict";
import { test } from "node:test";
import { escaped, propagationProblem, unescaped } from "./propagation.ts";

const mountinfo = [
  "1 0 8:1 / / rw - ext4 /dev/sda rw",
  "2 1 8:2 / /mnt rw shared:1 - ext4 /dev/sdb rw",
  "3 1 8:3 / /follows rw master:1 - ext4 /dev/sdc rw",
  "4 2 8:4 / /mnt/a\\040b rw,noatime - ext4 /dev/sdd rw",
].join("\n");

const told = (path: string, mount: string, wanted: string) =>
  `path "${path}" is mounted on "${mount}" but it is not ${wanted} mount: mount --make-rshared ${mount} makes it one`;

test("propagationProblem looks at the mount that a path lies on", () => {
  const cases = [
    ["/data", "rshared", told("/data", "/", "a shared")],
    ["/data", "rslave", told("/data", "/", "a shared or slave")],
    ["/mnt/x", "rshared", undefined],
    ["/mntx", "rshared", told("/mntx", "/", "a shared")],
    ["/follows", "rslave", undefined],
    ["/follows/x", "rshared", told("/follows/x", "/follows", "a shared")],
    ["/mnt/a b/c", "rshared", told("/mnt/a b/c", "/mnt/a b", "a shared")],
  ] as const;
  assert.deepEqual(
    cases.map(([path, propagation]) => [path, propagation, propagationProblem(mountinfo, path, propagation)]),
    cases,
  );
});

test("escaped writes a path as mountinfo does, and unescaped reads it back", () => {
  const path = "/data of\ta\\b/pods";
  assert.deepEqual(
    { written: escaped(path), read: unescaped(escaped(path)) },
    { written: "/data\\040of\\011a\\134b/pods", read: path },
  );
});
