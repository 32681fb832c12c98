// What the tests of a cluster ask again and again.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { conditionOf } from "../../api/kinds/conditions.ts";
import { nodes, pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import type { Output, TestCluster } from "./cluster.ts";
import { archiveOf, probeImage } from "./probe-image.ts";

/** Long: tests assert what happens, never how fast. */
const waitMsMax = 40_000;
const pauseMs = 100;

/** Asks until the answer is not undefined, and resolves with it. */
export async function until<T>(what: string, ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const endMs = performance.now() + waitMsMax;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`, { cause: last });
    await delay(pauseMs);
  }
}

/** Puts the probe image on every node, under the names naru.local/probe:1 and :2. */
export async function importProbe(cluster: TestCluster): Promise<void> {
  const path = join(cluster.place.dataDir, "probe.tar");
  writeFileSync(path, await archiveOf(await probeImage(), ["naru.local/probe:1", "naru.local/probe:2"]));
  done(await cluster.naru(["image", "import", path]));
}

/** The output of a command that must have ended well. */
export function done({ code, stdout, stderr }: Output): string {
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}${stdout}`);
  return stdout;
}

export async function podsOf(cluster: TestCluster, labelSelector: string): Promise<readonly Pod[]> {
  return (await cluster.client.list(pods, { namespace: "default", labelSelector })).items;
}

export function isReady(pod: Pod): boolean {
  return (
    pod.metadata?.deletionTimestamp === undefined && conditionOf(pod.status?.conditions, "Ready")?.status === "True"
  );
}

/** Resolves once exactly so many pods are Ready; those that are to end do not count, as they stay with a lost node until it is back. */
export function untilReady(
  cluster: TestCluster,
  labelSelector: string,
  { count, accept = () => true }: { readonly count: number; readonly accept?: (pod: Pod) => boolean },
): Promise<readonly Pod[]> {
  return until(`${count} pods Ready with ${labelSelector}`, async () => {
    const found = (await podsOf(cluster, labelSelector)).filter(
      ({ metadata }) => metadata?.deletionTimestamp === undefined,
    );
    return found.length === count && found.every((pod) => isReady(pod) && accept(pod)) ? found : undefined;
  });
}

export async function readyStatusOf(cluster: TestCluster, node: string): Promise<string | undefined> {
  const { status } = await cluster.client.get(nodes, { name: node });
  return conditionOf(status?.conditions, "Ready")?.status;
}

export async function untilNode(cluster: TestCluster, node: string, wanted: readonly string[]): Promise<void> {
  await until(`${node} ${wanted.join(" or ")}`, async () =>
    wanted.includes((await readyStatusOf(cluster, node)) ?? "") ? true : undefined,
  );
}

/** The body that a URL answers; undefined when it does not answer well. */
export async function fetchText(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000), headers: { connection: "close" } });
    return answer.ok ? await answer.text() : undefined;
  } catch {
    return undefined;
  }
}
