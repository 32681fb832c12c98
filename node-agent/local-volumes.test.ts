import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume } from "../api/kinds/generated/types.ts";
import { localDriver, volumeInUse, volumeRemoved } from "../api/kinds/local-volume.ts";
import { silentLogger } from "../lib/log.ts";
import { virtualClock } from "../lib/virtual-clock.ts";
import { LocalVolumes } from "./local-volumes.ts";

function volume(
  name: string,
  more: { readonly policy?: string; readonly driver?: string; readonly deleted?: true } = {},
): PersistentVolume {
  const { policy = "Delete", driver = localDriver, deleted } = more;
  return {
    metadata: { name, ...(deleted === undefined ? {} : { deletionTimestamp: "2026-01-01T00:00:00Z" }) },
    spec: { csi: { driver, volumeHandle: name }, persistentVolumeReclaimPolicy: policy },
  };
}

test("LocalVolumes removes what is deleted and nothing else, and says what is there and what is gone", async () => {
  const here = new Set(["kept", "doomed", "mounted", "left", "unknown", "other"]);
  const volumes = [
    volume("kept"),
    volume("doomed", { deleted: true }),
    volume("mounted", { deleted: true }),
    volume("left", { deleted: true, policy: "Retain" }),
    volume("other", { deleted: true, driver: "csi.example.com" }),
    volume("never-made", { deleted: true }),
  ];
  let changes = 0;
  const local = new LocalVolumes({
    cache: { list: (() => volumes) as never },
    storage: { localVolumes: () => [...here], removeLocalVolume: async (name) => void here.delete(name) },
    clock: virtualClock(),
    log: silentLogger,
    isMounted: (name) => name === "mounted",
    onChange: () => changes++,
  });
  local.removeDeleted();
  await new Promise(setImmediate);
  assert.deepEqual([...here], ["kept", "mounted", "left", "unknown", "other"]);
  assert.deepEqual(local.notes(), [
    ...["kept", "mounted", "left", "unknown", "other"].map(volumeInUse),
    ...["doomed", "left", "never-made"].map(volumeRemoved),
  ]);
  assert.ok(changes >= 2);
});
