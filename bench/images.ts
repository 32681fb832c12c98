// How fast images come and go: pulls from a registry on loopback into an empty store and into one that has the base.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { fraction, type Random, realRandom, seededRandom } from "../lib/random.ts";
import { openImages } from "../node-agent/images/open-images.ts";
import { makeImage, makeTar, pushImage, startRegistry, type TarEntry, type TestLayer } from "../test/registry.ts";
import { type Result, summarize } from "./result.ts";

const imagesFolder = new URL("../node-agent/images/", import.meta.url).pathname;
const layerMegabytes = [117, 66, 56, 45, 24];
/** Together 183 MB: what pull-shared finds here already. */
const baseLayers = 2;
const runs = 5;

/** pull-cold and pull-shared, in ms. Needs root. */
export async function benchImages(): Promise<readonly Result[]> {
  execFileSync("sh", [join(imagesFolder, "build.sh")]);
  const folder = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  await using registry = await startRegistry();
  try {
    const layers = await Promise.all(layerMegabytes.map((megabytes, i) => makeLayer(megabytes, i)));
    const sharedLayers = layers.slice(0, baseLayers + 1);
    await pushImage(registry, "bench/whole", { image: makeImage(layers), tag: "1" });
    await pushImage(registry, "bench/base", { image: makeImage(layers.slice(0, baseLayers)), tag: "1" });
    await pushImage(registry, "bench/shared", { image: makeImage(sharedLayers), tag: "1" });
    const samples = { cold: [] as number[], shared: [] as number[] };
    for (let run = 0; run < runs; run++) {
      samples.cold.push(await measurePull(join(folder, `cold-${run}`), [`${registry.host}/bench/whole:1`]));
      const both = [`${registry.host}/bench/base:1`, `${registry.host}/bench/shared:1`];
      samples.shared.push(await measurePull(join(folder, `shared-${run}`), both));
    }
    return [summarize("pull-cold", "ms", samples.cold), summarize("pull-shared", "ms", samples.shared)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Milliseconds that the last of the names took. */
async function measurePull(dir: string, names: readonly string[]): Promise<number> {
  const images = await openImages({ dir, clock: realClock, random: realRandom(), log: silentLogger });
  try {
    let ms = 0;
    for (const name of names) {
      const start = performance.now();
      await images.pull(name, { credentials: [] });
      ms = performance.now() - start;
    }
    return ms;
  } finally {
    await images[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  }
}

// Files of an image's usual sizes, which gzip makes 2.2 times smaller.
export async function makeLayer(megabytes: number, seed: number): Promise<TestLayer> {
  const random = seededRandom(seed + 1);
  const entries: TarEntry[] = [];
  for (let bytes = 0, n = 0; bytes < megabytes * 1e6; n++) {
    const size = Math.floor(200 * 2 ** (fraction(random) * 13));
    entries.push({ name: `layer-${seed}/dir-${n % 40}/file-${n}`, content: compressible(size, random) });
    bytes += size;
  }
  const tar = await makeTar(entries);
  const blob = await promisify(gzip)(tar, { level: 6 });
  return { tar, blob, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" };
}

function compressible(size: number, random: Random): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; ) {
    const isRepeat = at > 4096 && fraction(random) < 0.62;
    const length = Math.min(size - at, 8 + Math.floor(fraction(random) * 24));
    if (isRepeat) bytes.copy(bytes, at, at - 32 - Math.floor(fraction(random) * 4000), at);
    if (!isRepeat) for (let i = 0; i < length; i++) bytes[at + i] = Math.floor(fraction(random) * 160);
    at += length;
  }
  return bytes;
}

if (import.meta.main) console.table(await benchImages());
