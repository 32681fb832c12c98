// How fast images are made: a build of a context of 1,000 files without a cache, with nothing changed, with one file changed; and the
// commit of a container that changed 1,000 files.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { openBuilder } from "../node-agent/build/builder.ts";
import type { ImageLibrary } from "../node-agent/images/library.ts";
import { openImages } from "../node-agent/images/open-images.ts";
import { openLinuxRuntime } from "../node-agent/runtime/linux.ts";
import { baseImage, baseTar, builtImage, changeAll, changeContext, makeContext } from "./build-data.ts";
import { measureImagePeers, withPeers } from "./peers.ts";
import { type Result, summarize } from "./result.ts";

const imagesFolder = new URL("../node-agent/images/", import.meta.url).pathname;
const launcherFolder = new URL("../node-agent/launcher/", import.meta.url).pathname;
const runs = 10;

/** build-cold, build-cached, build-one-changed and commit-1000, in ms, beside the peers that are here. Needs root. */
export async function benchBuild(): Promise<readonly Result[]> {
  execFileSync("sh", [join(imagesFolder, "build.sh")]);
  execFileSync("sh", [join(launcherFolder, "build.sh")]);
  const folder = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  const state = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `naru-bench-${process.pid}-`));
  const runtime = await openLinuxRuntime({
    runDir: join(state, "run"),
    stateDir: join(state, "state"),
    launcherPath: join(launcherFolder, "build", "naru-launcher"),
    cgroupParent: `/naru-bench-${process.pid}`,
    clock: realClock,
    log: silentLogger,
  });
  const images = await openImages({
    ...{ dir: join(folder, "images"), runDir: join(state, "images") },
    ...{ clock: realClock, random: realRandom(), log: silentLogger },
  });
  try {
    await images.importTar(Readable.from([await baseTar()]), { tag: baseImage });
    const context = makeContext(join(folder, "context"));
    const builder = await openBuilder({ images, runtime, clock: realClock });
    const build = (noCache: boolean) =>
      builder.build({ type: "folder", path: context }, { tags: [builtImage], noCache }, () => {});
    let n = 0;
    const change = () => changeContext(context, n++);
    const cold = await measure(() => build(true), change);
    const cached = await measure(() => build(false));
    const changed = await measure(() => build(false), change);
    const commit = await measureCommit(images, folder);
    const own = [
      summarize("build-cold", "ms", cold),
      summarize("build-cached", "ms", cached),
      summarize("build-one-changed", "ms", changed),
      summarize("commit-1000", "ms", commit),
    ];
    return withPeers(own, await measureImagePeers("build", ""));
  } finally {
    await images[Symbol.asyncDispose]();
    await runtime.tearDown();
    for (const path of [folder, state]) rmSync(path, { recursive: true, force: true });
  }
}

async function measure(work: () => Promise<unknown>, before: () => void = () => {}): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let run = 0; run < runs; run++) {
    before();
    const start = performance.now();
    await work();
    samples.push(performance.now() - start);
  }
  return samples;
}

async function measureCommit(images: ImageLibrary, folder: string): Promise<readonly number[]> {
  const image = await images.find(builtImage);
  if (image === undefined) throw new Error(`${builtImage} was not built`);
  const { rootfs } = await images.prepareLayer("bench", image, { durable: true });
  const place = join(folder, "mounted");
  mkdirSync(place);
  const script = `mount -t overlay overlay -o ${rootfs.options.join(",")} ${place} && cd ${place}/app && ${changeAll}`;
  execFileSync("unshare", ["--mount", "sh", "-c", script]);
  let n = 0;
  const file = join(folder, "images/containers/bench/upper/app/dir-0/file-0");
  return await measure(
    () => images.commit("bench", { tag: "bench/committed" }),
    () => writeFileSync(file, `again ${n++}`),
  );
}

if (import.meta.main) console.table(await benchBuild());
