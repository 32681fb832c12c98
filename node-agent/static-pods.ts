// Pods of files on the node itself, which run whether or not a server can be heard. The API shows a mirror of each.
// Source: Kubernetes documentation, "Create static Pods".
import { type FSWatcher, watch } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pod } from "../api/kinds/generated/types.ts";
import { mirrorAnnotation } from "../api/kinds/mirror-pod.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";

export const hashAnnotation = "kubernetes.io/config.hash";

const lookMs = 20_000;
/** An editor writes a file in several steps. */
const settleMs = 100;

export interface StaticPodsOptions {
  readonly dir: string;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onPods: (pods: readonly Pod[]) => void;
}

/** Makes the folder, reads it and looks again whenever it changes. */
export async function openStaticPods(options: StaticPodsOptions): Promise<Disposable> {
  const { dir, clock, log, onPods } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  let [closed, last] = [false, ""];
  let timer: Timer | undefined;
  const lookIn = (delayMs: number) => {
    timer?.cancel();
    timer = clock.after(delayMs, () => void look());
  };
  const look = async () => {
    const pods = await readFolder(options).catch((error) => {
      log.warn({ dir, error: String(error) }, "could not read the folder of static pods");
      return undefined;
    });
    if (closed) return;
    const text = JSON.stringify(pods);
    if (pods !== undefined && text !== last) {
      last = text;
      onPods(pods);
    }
    lookIn(lookMs);
  };
  const watcher: FSWatcher = watch(dir, { persistent: false }, () => lookIn(settleMs));
  watcher.on("error", () => {});
  await look();
  return {
    [Symbol.dispose]: () => {
      closed = true;
      timer?.cancel();
      watcher.close();
    },
  };
}

async function readFolder({ dir, nodeName, log }: StaticPodsOptions): Promise<readonly Pod[]> {
  const names = (await readdir(dir)).filter((name) => /^[^.].*\.(?:ya?ml|json)$/.test(name)).sort();
  if (names.length === 0) return [];
  // Most nodes have none, and reading them takes YAML and all that is known of pods: 4 MB.
  const { parseStaticPods } = await import("./static-pod-file.ts");
  const pods: Pod[] = [];
  for (const name of names) {
    const path = join(dir, name);
    try {
      const warn = (warning: string) => log.warn({ path, warning }, "a static pod's field has no effect");
      pods.push(...parseStaticPods(await readFile(path, "utf8"), { path, nodeName, warn }));
    } catch (error) {
      // The others run all the same.
      log.warn({ path, error: String(error) }, "not a static pod");
    }
  }
  return pods;
}

/** Annotations are anybody's, but no object of the API has such a uid. */
export function isStatic({ metadata }: Pod): boolean {
  return metadata?.uid !== undefined && metadata.uid === metadata.annotations?.[hashAnnotation];
}

/** What the API is to show of a static pod. */
export function mirrorOf(pod: Pod): Pod {
  const { uid = "", ...metadata } = pod.metadata ?? {};
  return { ...pod, metadata: { ...metadata, annotations: { ...metadata.annotations, [mirrorAnnotation]: uid } } };
}
