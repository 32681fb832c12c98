// How fast images come: pulls from a registry on loopback into an empty store and into one that has the base.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { openImages } from "../node-agent/images/open-images.ts";
import { startRegistry } from "../test/registry.ts";
import { imageNames } from "./image-data.ts";
import { measureImagePeers, type PeerFigures, withPeers } from "./peers.ts";
import { type Result, summarize } from "./result.ts";

const imagesFolder = new URL("../node-agent/images/", import.meta.url).pathname;
const runs = 5;

/** pull-cold and pull-shared, in ms, beside the peers that are here. Needs root. */
export async function benchImages(): Promise<readonly Result[]> {
  execFileSync("sh", [join(imagesFolder, "build.sh")]);
  const folder = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  try {
    const storage = join(folder, "storage");
    execFileSync(process.execPath, [new URL("image-data.ts", import.meta.url).pathname, storage]);
    const own = await measureOwn(folder, storage);
    const peers: PeerFigures = await measureImagePeers("pull", storage);
    return withPeers(own, peers);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// The stores go when all is measured: ext4 makes files slowly while it remembers that others were deleted.
async function measureOwn(folder: string, storage: string): Promise<readonly Result[]> {
  await using registry = await startRegistry({ storage });
  const nameOf = (name: string) => `${registry.host}/${name}`;
  const samples = { cold: [] as number[], shared: [] as number[] };
  for (let run = 0; run < runs; run++) {
    samples.cold.push(await measurePull(join(folder, `cold-${run}`), [nameOf(imageNames.whole)]));
    const both = [nameOf(imageNames.base), nameOf(imageNames.shared)];
    samples.shared.push(await measurePull(join(folder, `shared-${run}`), both));
  }
  return [summarize("pull-cold", "ms", samples.cold), summarize("pull-shared", "ms", samples.shared)];
}

/** Milliseconds that the last of the names took. */
async function measurePull(dir: string, names: readonly string[]): Promise<number> {
  const images = await openImages({ dir, clock: realClock, random: realRandom(), log: silentLogger });
  try {
    let ms = 0;
    for (const name of names) {
      // What the one before left to be written is not this one's.
      execFileSync("sync");
      const start = performance.now();
      await images.pull(name, { credentials: [] });
      ms = performance.now() - start;
    }
    return ms;
  } finally {
    await images[Symbol.asyncDispose]();
  }
}

if (import.meta.main) console.table(await benchImages());
