// What an agent that starts again finds of its pods on a real file system.
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { openDiskStorage } from "./disk-storage.ts";

const images = {
  prepareLayer: () => Promise.reject(new Error("no image is asked for")),
  removeLayer: async () => {},
  layerPath: () => undefined,
};
const pod = (uid: string): Pod => ({
  metadata: { namespace: "default", name: `p-${uid}`, uid },
  spec: { containers: [{ name: "main", image: "i:1" }] },
});

test("saveCheckpoint keeps pods with their last status over a restart, also one that came with another spec", async () => {
  // In memory already, so that nothing has to be mounted.
  const dir = await mkdtemp(`/dev/shm/naru-storage-${process.pid}-`);
  try {
    const options = { dataDir: join(dir, "data"), runDir: join(dir, "run"), images };
    const storage = await openDiskStorage(options);
    const [one, two, gone] = [pod("1"), pod("2"), pod("3")];
    for (const each of [one, two, gone]) await storage.saveCheckpoint(each);
    await storage.saveCheckpoint({ ...one, status: { phase: "Pending" } });
    await storage.saveCheckpoint({ ...one, status: { phase: "Running" } });
    await storage.saveCheckpoint({ ...two, status: { phase: "Pending" } });
    const changed: Pod = { ...two, spec: { ...two.spec, containers: [{ name: "main", image: "i:2" }] } };
    await storage.saveCheckpoint({ ...changed, status: { phase: "Failed" } });
    await storage.saveCheckpoint({ ...gone, status: { phase: "Running" } });
    await storage.remove(gone);
    const found = await (await openDiskStorage(options)).loadCheckpoints();
    const left = await Promise.all(
      ["data/pods", "data/logs", "run/volumes/.status"].map((path) => readdir(join(dir, path))),
    );
    assert.deepEqual(
      { found: found.toSorted((a, b) => ((a.metadata?.uid ?? "") < (b.metadata?.uid ?? "") ? -1 : 1)), left },
      {
        found: [
          { ...one, status: { phase: "Running" } },
          { ...changed, status: { phase: "Failed" } },
        ],
        left: [["1", "2"], ["default_p-1_1", "default_p-2_2"], ["1"]],
      },
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
