import assert from "node:assert/strict";
import { test } from "node:test";
import type { VolumeMount } from "../../api/kinds/generated/types.ts";
import { volumeMounts } from "./volume-mounts.ts";

const volumes = new Map([
  ["v", { path: "/volumes/v", readOnly: false }],
  ["secret", { path: "/volumes/secret", readOnly: true }],
]);
const context = {
  volumes,
  env: new Map([["WHO", "me"]]),
  mountinfo: () => "1 0 8:1 / / rw shared:1 - ext4 /dev/sda rw",
};
const of = (...mounts: readonly VolumeMount[]) => volumeMounts({ name: "c", volumeMounts: mounts }, context);

test("volumeMounts turns what is asked into mounts, outermost first", () => {
  const mounts = of(
    { name: "v", mountPath: "/a/deep", subPathExpr: "logs/$(WHO)" },
    { name: "secret", mountPath: "/s", subPath: "key" },
    { name: "v", mountPath: "/ro", readOnly: true, recursiveReadOnly: "Enabled" },
    { name: "v", mountPath: "/in", mountPropagation: "HostToContainer" },
  );
  assert.deepEqual(
    mounts.map(({ destination, source, subPath, options }) => [destination, source, subPath, options.join()]),
    [
      ["/s", "/volumes/secret", "key", "rbind,rprivate,rro"],
      ["/ro", "/volumes/v", undefined, "rbind,rprivate,rro"],
      ["/in", "/volumes/v", undefined, "rbind,rslave,rw"],
      ["/a/deep", "/volumes/v", "logs/me", "rbind,rprivate,rw"],
    ],
  );
});

test("volumeMounts refuses what it cannot mount", () => {
  const refused: readonly (readonly [VolumeMount, RegExp])[] = [
    [{ name: "none", mountPath: "/x" }, /^volume "none" of mount \/x is not there$/],
    [{ name: "v", mountPath: "/x", subPathExpr: "$(NOBODY)" }, /no variable NOBODY$/],
    [{ name: "v", mountPath: "/x", subPath: "a/../../b" }, /must be relative and must not contain/],
  ];
  for (const [mount, message] of refused) assert.throws(() => of(mount), { name: "VolumeError", message });
});
