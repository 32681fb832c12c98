// The images that pulls are measured with, in the storage of a registry: `image-data.ts STORAGE` fills it. A process of its own does it, so
// that who measures afterwards is no larger than an agent.
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { fraction, type Random, seededRandom } from "../lib/random.ts";
import { makeImage, makeTar, pushImage, startRegistry, type TarEntry, type TestLayer } from "../test/registry.ts";

const layerMegabytes = [117, 66, 56, 45, 24];
/** Together 183 MB: what pull-shared finds here already. */
const baseLayers = 2;

/** 308 MB; 183 MB; 239 MB on top of the latter. */
export const imageNames = { whole: "bench/whole:1", base: "bench/base:1", shared: "bench/shared:1" };

async function fillStorage(storage: string): Promise<void> {
  const layers = await Promise.all(layerMegabytes.map((megabytes, i) => makeLayer(megabytes, i)));
  await using registry = await startRegistry({ storage });
  await pushImage(registry, "bench/whole", { image: makeImage(layers), tag: "1" });
  await pushImage(registry, "bench/base", { image: makeImage(layers.slice(0, baseLayers)), tag: "1" });
  await pushImage(registry, "bench/shared", { image: makeImage(layers.slice(0, baseLayers + 1)), tag: "1" });
}

// Files of an image's usual sizes, which gzip makes 2.2 times smaller.
async function makeLayer(megabytes: number, seed: number): Promise<TestLayer> {
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

if (import.meta.main) await fillStorage(process.argv[2] ?? "");
