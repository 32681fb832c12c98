// metrics.k8s.io: what nodes and pods use right now, for `kubectl top`. Nodes are asked when somebody asks; nothing is kept.
// Source: k8s.io/metrics, types of v1beta1.
import { create } from "@bufbuild/protobuf";
import { timestamp } from "../../lib/clock.ts";
import { type ContainerUsage, type NodeUsage, parseNodeUsage } from "../../lib/node-usage.ts";
import { StatsRequestSchema } from "../../proto/generated/node_pb.ts";
import { nodes, pods } from "../kinds/generated/resources.ts";
import type { Pod } from "../kinds/generated/types.ts";
import { kindOf } from "../kinds/list.ts";
import { type KubeObject, keyOf, type Resource } from "../kinds/resource.ts";
import { ApiError } from "../kinds/status.ts";
import { selectionOf } from "../verbs/selection.ts";
import { sendJson } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";
import { brokerOf, refuseIfFailed } from "./pod-streams.ts";
import type { ResourceRequest } from "./request-info.ts";
import { usageGroup } from "./usage-resources.ts";

const apiVersion = `${usageGroup}/v1beta1`;
/** A node that does not answer is left out. */
const answerMsMax = 5000;
const answerBytesMax = 4 * 1024 * 1024;

export async function handleUsage(door: Door, exchange: Exchange, info: ResourceRequest): Promise<number> {
  const { verb } = info.attributes;
  if (verb !== "get" && verb !== "list") throw new ApiError("MethodNotAllowed", `usage does not take ${verb}`);
  const items = await (info.resource.resource === "nodes" ? nodeUsages : podUsages)(door, exchange, info);
  if (info.name === undefined) {
    await sendJson(exchange, { kind: `${info.resource.kind}List`, apiVersion, metadata: {}, items });
    return 200;
  }
  const [only] = items;
  if (only === undefined) {
    const { name } = info;
    throw new ApiError("NotFound", `${info.resource.resource}.${usageGroup} "${name}" not found`, {
      details: { name, group: usageGroup },
    });
  }
  await sendJson(exchange, only);
  return 200;
}

async function nodeUsages(door: Door, exchange: Exchange, info: ResourceRequest): Promise<readonly object[]> {
  const wanted = select(door, exchange, info, nodes);
  const usages = await ask(
    door,
    exchange,
    wanted.map(({ metadata }) => metadata?.name ?? ""),
  );
  return wanted.flatMap(({ metadata }) => {
    const usage = usages.get(metadata?.name ?? "");
    if (usage === undefined) return [];
    const meta = { name: metadata?.name, ...(metadata?.labels === undefined ? {} : { labels: metadata.labels }) };
    return [{ ...head("NodeMetrics", meta, door, usage), usage: amounts(usage) }];
  });
}

async function podUsages(door: Door, exchange: Exchange, info: ResourceRequest): Promise<readonly object[]> {
  const wanted: readonly Pod[] = select(door, exchange, info, pods);
  const usages = await ask(door, exchange, [...new Set(wanted.flatMap(({ spec }) => spec?.nodeName ?? []))]);
  return planPodUsages(wanted, usages).map(({ pod: { metadata }, usage, containers }) => {
    const { name, namespace, labels } = metadata ?? {};
    const meta = { name, namespace, ...(labels === undefined ? {} : { labels }) };
    return {
      ...head("PodMetrics", meta, door, usage),
      containers: containers.map((one) => ({ name: one.container, usage: amounts(one) })),
    };
  });
}

export interface PodUsage {
  readonly pod: Pod;
  readonly usage: NodeUsage;
  readonly containers: readonly ContainerUsage[];
}

/** Pods whose node has answered and that have a container that runs. Pure. */
export function planPodUsages(pods: readonly Pod[], usages: ReadonlyMap<string, NodeUsage>): readonly PodUsage[] {
  const byPod = new Map<string, ContainerUsage[]>();
  for (const [node, { containers }] of usages) {
    for (const one of containers) {
      const key = `${node} ${one.namespace}/${one.pod}`;
      byPod.set(key, [...(byPod.get(key) ?? []), one]);
    }
  }
  return pods.flatMap((pod) => {
    const node = pod.spec?.nodeName ?? "";
    const usage = usages.get(node);
    // A node speaks only of pods that are its own.
    const containers = byPod.get(`${node} ${keyOf(pod)}`);
    return usage === undefined || containers === undefined ? [] : [{ pod, usage, containers }];
  });
}

function select<T extends KubeObject>(
  { context: { cache } }: Door,
  { query }: Exchange,
  { namespace, name }: ResourceRequest,
  resource: Resource<T>,
): readonly T[] {
  const kind = kindOf<KubeObject>(resource);
  if (kind === undefined) return [];
  const selection = selectionOf(kind, namespace, {
    labelSelector: query.get("labelSelector") ?? "",
    fieldSelector: query.get("fieldSelector") ?? "",
  });
  return cache
    .list(resource, selection.from)
    .items.map(({ object }) => object)
    .filter(
      (object) => (name === undefined || object.metadata?.name === name) && (selection.matches?.(object) ?? true),
    );
}

async function ask(door: Door, exchange: Exchange, names: readonly string[]): Promise<ReadonlyMap<string, NodeUsage>> {
  const broker = brokerOf(door);
  const answers = await Promise.allSettled(
    names.map(async (name) => {
      const signal = AbortSignal.any([exchange.signal, AbortSignal.timeout(answerMsMax)]);
      await using stream = await broker.open(name, { case: "stats", value: create(StatsRequestSchema) }, signal);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const frame of stream.frames) {
        refuseIfFailed(frame);
        if (frame.content.case !== "stdout") continue;
        bytes += frame.content.value.length;
        if (bytes > answerBytesMax) throw new RangeError(`node ${name} tells too much`);
        parts.push(frame.content.value);
      }
      return [name, parseNodeUsage(Buffer.concat(parts).toString())] as const;
    }),
  );
  const failed = answers.find((answer) => answer.status === "rejected");
  // That no node answers is worth a word; that one of many does not is seen by its absence.
  if (failed !== undefined && answers.every(({ status }) => status === "rejected")) throw failed.reason;
  return new Map(answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : [])));
}

function head(kind: string, metadata: object, { context: { clock } }: Door, { windowSeconds }: NodeUsage): object {
  const now = timestamp(clock.now());
  return {
    kind,
    apiVersion,
    metadata: { ...metadata, creationTimestamp: now },
    timestamp: now,
    window: `${windowSeconds.toFixed(3)}s`,
  };
}

function amounts({ cpuNanoCores, memoryBytes }: { readonly cpuNanoCores: number; readonly memoryBytes: number }) {
  return { cpu: `${cpuNanoCores}n`, memory: `${Math.ceil(memoryBytes / 1024)}Ki` };
}
