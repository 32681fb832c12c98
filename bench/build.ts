// How fast images are made: a build of a context of 1,000 files without a cache, with nothing changed, with one file changed; and the
// commit of a container that changed 1,000 files.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
import { makeTar } from "../test/registry.ts";
import { debianProgram } from "../test/tools.ts";
import { type Result, summarize } from "./result.ts";

const imagesFolder = new URL("../node-agent/images/", import.meta.url).pathname;
const launcherFolder = new URL("../node-agent/launcher/", import.meta.url).pathname;
const files = 1_000;
const runs = 10;
const dockerfile = `FROM bench/base
ENV MODE=production
WORKDIR /app
COPY . .
RUN ls | wc -l > /count
RUN mkdir /out && cat dir-0/* > /out/all
`;

/** build-cold, build-cached, build-one-changed and commit-1000, in ms. Needs root. */
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
    await images.importTar(Readable.from([await baseTar()]), { tag: "bench/base" });
    const context = makeContext(folder);
    const builder = await openBuilder({ images, runtime, clock: realClock });
    const build = (noCache: boolean) =>
      builder.build({ type: "folder", path: context }, { tags: ["bench/app"], noCache }, () => {});
    // A layer that is here already would be made and thrown away: every build has something of its own.
    let n = 0;
    const change = () => writeFileSync(join(context, "dir-0/file-0"), `changed ${n++}`);
    const cold = await measure(() => build(true), change);
    const cached = await measure(() => build(false));
    const changed = await measure(() => build(false), change);
    const commit = await measureCommit(images, folder);
    return [
      summarize("build-cold", "ms", cold),
      summarize("build-cached", "ms", cached),
      summarize("build-one-changed", "ms", changed),
      summarize("commit-1000", "ms", commit),
    ];
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
  const image = await images.find("bench/app");
  if (image === undefined) throw new Error("bench/app was not built");
  const { rootfs } = await images.prepareLayer("bench", image, { durable: true });
  const place = join(folder, "mounted");
  mkdirSync(place);
  const script = `mount -t overlay overlay -o ${rootfs.options.join(",")} ${place} && cd ${place}/app && for file in dir-*/*; do echo changed > $file; done`;
  execFileSync("unshare", ["--mount", "sh", "-c", script]);
  let n = 0;
  const file = join(folder, "images/containers/bench/upper/app/dir-0/file-0");
  return await measure(
    () => images.commit("bench", { tag: "bench/committed" }),
    () => writeFileSync(file, `again ${n++}`),
  );
}

async function baseTar(): Promise<Buffer> {
  const busybox = readFileSync(await debianProgram("busybox-static", "bin/busybox"));
  const tools = ["sh", "ls", "cat", "wc", "mkdir"];
  return await makeTar([
    { name: "bin/busybox", content: busybox, mode: 0o755 },
    ...tools.map((tool) => ({ name: `bin/${tool}`, type: "symlink" as const, linkname: "busybox" })),
  ]);
}

function makeContext(folder: string): string {
  const context = join(folder, "context");
  for (let n = 0; n < files - 1; n++) {
    const directory = join(context, `dir-${n % 40}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${n}`), `file ${n}\n`.repeat(1 + (n % 300)));
  }
  writeFileSync(join(context, "Dockerfile"), dockerfile);
  return context;
}

if (import.meta.main) console.table(await benchBuild());
