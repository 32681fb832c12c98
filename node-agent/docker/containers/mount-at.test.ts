// Where a path of a container lies while it does not run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mountAt } from "./mount-at.ts";
import type { MountPoint } from "./record.ts";

const mount = (Destination: string, Source: string, more: Partial<MountPoint> = {}): MountPoint => ({
  ...{ Type: "volume", Name: "v", Source, Destination, Mode: "", RW: true, Propagation: "", anonymous: false },
  ...{ copyUp: false, recursive: true, subpath: "", options: [] },
  ...more,
});

test("mountAt finds the innermost mount, its folder on the node and the path within", () => {
  const mounts = [
    mount("/data", "/v/data"),
    mount("/data/deep", "/v/deep", { subpath: "part" }),
    mount("/data/memory", "", { Type: "tmpfs" }),
  ];
  const at = (path: string) => {
    const place = mountAt(mounts, path);
    return place && [place.directory, place.name, place.path];
  };
  assert.deepEqual(
    ["/data", "/data/.", "data/x", "/data/deep/y/.", "/data/../data/deep", "/data/memory/z", "/database", "/"].map(at),
    [
      ["/v/data", "data", "/"],
      ["/v/data", "data", "//."],
      ["/v/data", "data", "/x"],
      ["/v/deep/part", "deep", "/y/."],
      ["/v/deep/part", "deep", "/"],
      ["/v/data", "data", "/memory/z"],
      undefined,
      undefined,
    ],
  );
});
