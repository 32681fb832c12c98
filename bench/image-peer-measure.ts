// One peer measured with images, in namespaces that end with this process: `image-peer-measure.ts pull|build NAME FOLDER CGROUP STORAGE`
// prints its medians as JSON.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startRegistry } from "../test/registry.ts";
import { baseImage, baseTar, builtImage, changeAll, changeContext, makeContext } from "./build-data.ts";
import { imageNames } from "./image-data.ts";
import type { ImagePeer, OpenImagePeer } from "./image-peer.ts";
import { openImageContainerd } from "./image-peer-containerd.ts";
import { openImageDocker } from "./image-peer-docker.ts";
import { openImagePodman } from "./image-peer-podman.ts";
import { showContainersFiles, showFetchedPeers } from "./peer-place.ts";
import { summarize } from "./result.ts";

const openers: Readonly<Record<string, OpenImagePeer>> = {
  containerd: openImageContainerd,
  docker: openImageDocker("classic"),
  buildkit: openImageDocker("BuildKit"),
  podman: openImagePodman("podman"),
  buildah: openImagePodman("buildah"),
};
const pullRuns = 3;
const buildRuns = 3;

const [question, name = "", folder = "", cgroup = "", storage = ""] = process.argv.slice(2);
const opener = openers[name];
if (opener === undefined) throw new Error(`${name}: peers are ${Object.keys(openers).join(", ")}`);
await showFetchedPeers();
await showContainersFiles(folder);
console.log(JSON.stringify(question === "pull" ? await measurePulls(opener) : await measureBuilds(opener)));

/** Each into a store that was never used: what was deleted a moment ago slows some file systems down. */
async function measurePulls(open: OpenImagePeer): Promise<Readonly<Record<string, number>>> {
  await using registry = await startRegistry({ storage });
  const nameOf = (image: string) => `${registry.host}/${image}`;
  const samples: Record<"pull-cold" | "pull-shared", number[]> = { "pull-cold": [], "pull-shared": [] };
  for (let run = 0; run < pullRuns; run++) {
    for (const [key, images] of [
      ["pull-cold", [imageNames.whole]],
      ["pull-shared", [imageNames.base, imageNames.shared]],
    ] as const) {
      await using peer = await openIn(open, `${key}-${run}`, registry.host);
      if (peer === undefined) return {};
      let ms = 0;
      for (const image of images) {
        // As ours is measured.
        execFileSync("sync");
        ms = await timed(() => peer.pull(nameOf(image)));
      }
      samples[key].push(ms);
    }
  }
  return medians(samples);
}

async function measureBuilds(open: OpenImagePeer): Promise<Readonly<Record<string, number>>> {
  await using peer = await openIn(open, "peer", undefined);
  if (peer === undefined) return {};
  const tar = join(folder, "base.tar");
  writeFileSync(tar, await baseTar());
  await peer.importRoot(tar, baseImage);
  const context = makeContext(join(folder, "context"), `${peer.prefix}${baseImage}`);
  const build = (noCache: boolean) => peer.build(context, { tag: builtImage, noCache });
  const samples: Record<string, number[]> = {};
  let changes = 0;
  const measure = async (key: string, work: () => Promise<void>, before: () => void = () => {}) => {
    const times: number[] = [];
    for (let run = 0; run < buildRuns; run++) {
      before();
      times.push(await timed(work));
    }
    samples[key] = times;
  };
  const change = () => changeContext(context, changes++);
  await build(true);
  await measure("build-cold", () => build(true), change);
  await build(false);
  await measure("build-cached", () => build(false));
  await measure("build-one-changed", () => build(false), change);
  await measureCommits(peer, (work) => measure("commit-1000", work));
  return medians(samples);
}

async function measureCommits(peer: ImagePeer, measure: (work: () => Promise<void>) => Promise<void>): Promise<void> {
  if (name === "buildkit" || peer.makeContainer === undefined) return;
  const container = await peer.makeContainer(`${peer.prefix}${builtImage}`, changeAll);
  await measure(async () => await peer.commit?.(container, "bench/committed"));
}

async function openIn(
  open: OpenImagePeer,
  place: string,
  registry: string | undefined,
): Promise<ImagePeer | undefined> {
  const own = join(folder, place);
  mkdirSync(own);
  return await open({ folder: own, cgroup, registry });
}

async function timed(work: () => Promise<void>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

function medians(samples: Readonly<Record<string, readonly number[]>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(samples).map(([key, times]) => [key, summarize(key, "ms", times).median]));
}
