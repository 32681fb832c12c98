// Binding pods to nodes: many pods in few commits, and nothing checked again that the pod's creation has checked.

import type { Bind } from "../../client/client.ts";
import { timestamp } from "../../lib/clock.ts";
import type { CachedItem } from "../cache/watch-cache.ts";
import { setCondition } from "../kinds/conditions.ts";
import { pods } from "../kinds/generated/resources.ts";
import type { Pod, PodCondition } from "../kinds/generated/types.ts";
import type { ApiError } from "../kinds/status.ts";
import { storeKey } from "../store/keys.ts";
import { commitTransaction, encodeObject } from "./commit.ts";
import type { Context } from "./context.ts";
import { changedMeanwhile, conflict, notFound } from "./refusals.ts";

/** etcd's default limit is 128 operations per transaction. */
const bindsPerCommitMax = 100;
/** etcd takes requests of 1.5 MiB. */
const commitBytesMax = 1_000_000;
const triesMax = 12;

/** One outcome per bind, in order: undefined, or why it was refused. All are durable and visible when this resolves. */
export async function bindPods(
  context: Context,
  binds: readonly Bind[],
  options: { readonly dryRun?: boolean } = {},
): Promise<readonly (Error | undefined)[]> {
  const outcomes: (Error | undefined)[] = new Array(binds.length);
  const chunks: number[][] = [];
  for (let start = 0; start < binds.length; start += bindsPerCommitMax) {
    const end = Math.min(start + bindsPerCommitMax, binds.length);
    chunks.push(Array.from({ length: end - start }, (_, i) => start + i));
  }
  const revisions = await Promise.all(chunks.map((chunk) => bindChunk(context, { binds, outcomes, options }, chunk)));
  await context.cache.waitUntil(Math.max(0, ...revisions));
  return outcomes;
}

interface Batch {
  readonly binds: readonly Bind[];
  readonly outcomes: (Error | undefined)[];
  readonly options: { readonly dryRun?: boolean };
}

/** The revision at which the chunk's binds are stored. */
async function bindChunk(context: Context, batch: Batch, chunk: readonly number[]): Promise<number> {
  const nowMs = context.clock.now();
  for (let tries = 0; tries < triesMax; tries++) {
    const planned = planChunk(context, batch, chunk, nowMs);
    if (planned.length === 0 || batch.options.dryRun === true) return 0;
    if (planned.length > 1 && sum(planned.map(({ value }) => value.byteLength)) > commitBytesMax) {
      const half = Math.ceil(chunk.length / 2);
      const parts = [chunk.slice(0, half), chunk.slice(half)].map((part) => bindChunk(context, batch, part));
      return Math.max(...(await Promise.all(parts)));
    }
    const result = await commitTransaction(context, {
      compares: planned.map(({ key, live }) => ({ key, modRevision: live.revision })),
      operations: planned.map(({ key, value }) => ({ type: "put", key, value })),
    });
    if (result.committed) return result.revision;
    // One pod has changed: look at all of them anew and leave out those that cannot be bound any more.
    await context.cache.waitUntil(result.conflict.present?.modRevision ?? result.revision);
  }
  for (const i of chunk) batch.outcomes[i] ??= changedMeanwhile(pods, batch.binds[i]?.name ?? "");
  return 0;
}

interface Planned {
  readonly key: string;
  readonly live: CachedItem<Pod>;
  readonly value: Uint8Array;
}

function planChunk(context: Context, batch: Batch, chunk: readonly number[], nowMs: number): readonly Planned[] {
  const planned: Planned[] = [];
  const taken = new Map<string, string>();
  for (const i of chunk) {
    const bind = batch.binds[i];
    if (bind === undefined) continue;
    const key = `${bind.namespace}/${bind.name}`;
    const live = context.cache.get(pods, key);
    const node = taken.get(key);
    const refusal = node === undefined ? refusalOf(bind, live?.object) : assigned(bind, node);
    batch.outcomes[i] = refusal;
    if (refusal !== undefined || live === undefined) continue;
    taken.set(key, bind.node);
    planned.push({ key: storeKey(pods, key), live, value: encodeObject(bound(live.object, bind.node, nowMs)) });
  }
  return planned;
}

function refusalOf(bind: Bind, pod: Pod | undefined): ApiError | undefined {
  if (pod === undefined) return notFound(pods, bind.name);
  if (bind.uid !== "" && pod.metadata?.uid !== bind.uid) {
    const uids = `UID in precondition: ${bind.uid}, UID in object meta: ${pod.metadata?.uid}`;
    return conflict(pods, bind.name, `Precondition failed: ${uids}`);
  }
  if (pod.metadata?.deletionTimestamp !== undefined) {
    return conflict(pods, bind.name, `pod ${bind.name} is being deleted, cannot be assigned to a host`);
  }
  const node = pod.spec?.nodeName ?? "";
  return node === "" ? undefined : assigned(bind, node);
}

function assigned({ name }: Bind, node: string): ApiError {
  return conflict(pods, name, `pod ${name} is already assigned to node ${JSON.stringify(node)}`);
}

function bound(pod: Pod, nodeName: string, nowMs: number): Pod {
  const scheduled: PodCondition = { type: "PodScheduled", status: "True", lastTransitionTime: timestamp(nowMs) };
  return {
    ...pod,
    spec: { containers: [], ...pod.spec, nodeName },
    status: { ...pod.status, conditions: setCondition<PodCondition>(pod.status?.conditions, scheduled, nowMs) },
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
