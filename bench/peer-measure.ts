// One peer measured, in a mount namespace that ends with this process: `peer-measure.ts NAME FOLDER CGROUP` prints its medians as JSON.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pssMegabytes } from "./container.ts";
import { makeImage } from "./container-place.ts";
import type { OpenPeer, Peer } from "./peer.ts";
import { openContainerd } from "./peer-containerd.ts";
import { openDocker } from "./peer-docker.ts";
import { openOciPeer } from "./peer-oci.ts";
import { showFetchedPeers } from "./peer-place.ts";
import { openPodman } from "./peer-podman.ts";
import { summarize } from "./result.ts";

const openers: Readonly<Record<string, OpenPeer>> = {
  "naru-oci": openOciPeer("naru-oci"),
  crun: openOciPeer("crun"),
  runc: openOciPeer("runc"),
  containerd: openContainerd,
  docker: openDocker,
  podman: openPodman,
};
const runs = 15;
const inFlight = 8;
const rateRuns = 32;
const resident = 4;

const [name = "", folder = "", cgroup = ""] = process.argv.slice(2);
const open = openers[name];
if (open === undefined) throw new Error(`${name}: peers are ${Object.keys(openers).join(", ")}`);
await showFetchedPeers();
mkdirSync(join(folder, "peer"));
await using peer = await open({ folder: join(folder, "peer"), rootfs: makeImage(join(folder, "rootfs")), cgroup });
console.log(JSON.stringify(peer === undefined ? {} : await measure(peer)));

async function measure(peer: Peer): Promise<Readonly<Record<string, number>>> {
  const id = (i: number) => `naru-bench-${process.pid}-${i}`;
  let used = 0;
  await peer.run(id(used++));
  const start = await times(runs, () => peer.run(id(used++)));
  const before = performance.now();
  let left = rateRuns;
  const worker = async () => {
    while (left-- > 0) await peer.run(id(used++));
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const rate = (rateRuns * 1000) / (performance.now() - before);
  const going = Array.from({ length: resident }, () => id(used++));
  for (const one of going) await peer.start(one);
  const pss = helperMegabytes(peer, going);
  const exec = await times(runs, () => peer.exec(going[0] ?? ""));
  const removals: number[] = [];
  for (const one of going) removals.push(...(await times(1, () => peer.remove(one))));
  const median = (samples: readonly number[]) => summarize("", "", samples).median;
  return {
    "container-start": median(start),
    "container-rate": rate,
    "container-remove": median(removals),
    exec: median(exec),
    ...(pss === undefined ? {} : { "container-pss": pss }),
  };
}

async function times(count: number, work: () => Promise<void>): Promise<readonly number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = performance.now();
    await work();
    samples.push(performance.now() - before);
  }
  return samples;
}

/** What the peer's own processes hold for each of the containers that go on. */
function helperMegabytes({ helperMark }: Peer, ids: readonly string[]): number | undefined {
  if (helperMark === undefined) return undefined;
  const helpers = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(helperMark));
  return helpers.reduce((sum, pid) => sum + pssMegabytes(Number(pid)), 0) / ids.length;
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}
