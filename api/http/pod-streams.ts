// pods/log as a plain answer, and pods/exec, attach and portforward handed over to the broker with their connection.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { create } from "@bufbuild/protobuf";
import { type Frame, LogRequestSchema } from "../../proto/generated/node_pb.ts";
import { pods } from "../kinds/generated/resources.ts";
import type { Pod } from "../kinds/generated/types.ts";
import { ApiError } from "../kinds/status.ts";
import { notFound } from "../verbs/refusals.ts";
import { writeHead } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";
import { isTrue, type ResourceRequest } from "./request-info.ts";
import { wholeNumber } from "./resources.ts";
import type { StreamBroker, StreamUpgrade } from "./stream-broker.ts";

/** Answers pods/log; refuses before the first byte what the node refuses. */
export async function sendLog(door: Door, exchange: Exchange, info: ResourceRequest): Promise<number> {
  const { query, response, signal } = exchange;
  const pod = podOf(door, info);
  const node = nodeOf(pod);
  const request = logRequest(door, pod, query);
  await using stream = await brokerOf(door).open(node, { case: "log", value: request }, signal);
  const frames = stream.frames[Symbol.asyncIterator]();
  let frame = await frames.next();
  refuseIfFailed(frame.value as Frame | undefined);
  writeHead(response, 200, { "content-type": "text/plain", "cache-control": "no-cache, private" });
  (response as { flushHeaders(): void }).flushHeaders();
  try {
    for (; frame.done !== true && !signal.aborted; frame = await frames.next()) {
      const { content } = frame.value;
      if (content.case !== "stdout" && content.case !== "stderr") continue;
      await write(exchange, content.value);
    }
  } finally {
    response.end();
  }
  return 200;
}

/** Bytes to the client, waiting while it is slow. */
export async function write({ response, signal }: Exchange, bytes: Uint8Array): Promise<void> {
  const more = (response as { write(chunk: Uint8Array): boolean }).write(bytes);
  if (!more && !signal.aborted) await once(response, "drain", { signal }).catch(() => undefined);
}

/** The node's refusal, as the client should read it. */
export function refuseIfFailed(frame: Frame | undefined): void {
  if (frame?.content.case === "exit" && frame.content.value.error !== "") {
    throw new ApiError("BadRequest", frame.content.value.error);
  }
}

export function brokerOf({ broker }: Door): StreamBroker {
  if (broker === undefined) throw new ApiError("ServiceUnavailable", "this server has no sessions with nodes");
  return broker;
}

/** What the broker gets, or a refusal; the caller has authenticated and authorized. */
export function planUpgrade(
  door: Door,
  info: ResourceRequest,
  connection: {
    readonly request: IncomingMessage;
    readonly socket: Duplex;
    readonly head: Buffer;
    readonly query: URLSearchParams;
    readonly signal: AbortSignal;
  },
): StreamUpgrade {
  const { subresource } = info;
  if (subresource !== "exec" && subresource !== "attach" && subresource !== "portforward") {
    throw new ApiError("BadRequest", `the connection cannot be upgraded for ${info.resource.resource}/${subresource}`);
  }
  const pod = podOf(door, info);
  const container = subresource === "portforward" ? "" : containerOf(pod, connection.query.get("container"));
  if (subresource === "exec" && connection.query.getAll("command").length === 0) {
    throw new ApiError("BadRequest", "you must specify at least one command for the container");
  }
  return { ...connection, subresource, pod, node: nodeOf(pod), container };
}

function podOf({ context }: Door, info: ResourceRequest): Pod {
  const name = info.name ?? "";
  const item = context.cache.get(pods, `${info.namespace ?? ""}/${name}`);
  if (item === undefined) throw notFound(pods, name);
  return item.object;
}

function nodeOf(pod: Pod): string {
  const node = pod.spec?.nodeName ?? "";
  if (node === "") throw new ApiError("BadRequest", `pod ${pod.metadata?.name} does not have a host assigned`);
  return node;
}

const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container";

function containerOf(pod: Pod, wanted: string | null): string {
  const { name = "", annotations = {} } = pod.metadata ?? {};
  const containers = (pod.spec?.containers ?? []).map((container) => container.name);
  const { initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const all = [...containers, ...[...initContainers, ...ephemeralContainers].map((container) => container.name)];
  if (wanted !== null && wanted !== "") {
    if (all.includes(wanted)) return wanted;
    throw new ApiError("BadRequest", `container ${wanted} is not valid for pod ${name}`);
  }
  const annotated = annotations[defaultContainerAnnotation];
  const [first] = containers;
  if (annotated !== undefined && all.includes(annotated)) return annotated;
  if (containers.length === 1 && first !== undefined) return first;
  throw new ApiError(
    "BadRequest",
    `a container name must be specified for pod ${name}, choose one of: [${containers.join(" ")}]`,
  );
}

function logRequest({ context }: Door, pod: Pod, query: URLSearchParams) {
  const number = (name: string) => {
    const text = query.get(name);
    if (text === null) return undefined;
    const value = wholeNumber(name, text);
    if (value < 0)
      throw new ApiError(
        "Invalid",
        `PodLogOptions is invalid: ${name}: Invalid value: ${value}: must be greater than or equal to 0`,
      );
    return value;
  };
  const [tail, limit, since] = [number("tailLines"), number("limitBytes"), number("sinceSeconds")];
  const sinceTime = query.get("sinceTime");
  const sinceMs =
    since !== undefined ? context.clock.now() - since * 1000 : sinceTime === null ? undefined : Date.parse(sinceTime);
  if (Number.isNaN(sinceMs))
    throw new ApiError(
      "BadRequest",
      `sinceTime: Invalid value: ${JSON.stringify(sinceTime)}: must be an RFC 3339 time`,
    );
  return create(LogRequestSchema, {
    podUid: pod.metadata?.uid ?? "",
    container: containerOf(pod, query.get("container")),
    follow: isTrue(query.get("follow")),
    previous: isTrue(query.get("previous")),
    timestamps: isTrue(query.get("timestamps")),
    ...(tail === undefined ? {} : { tailLines: BigInt(tail) }),
    ...(limit === undefined ? {} : { limitBytes: BigInt(limit) }),
    ...(sinceMs === undefined ? {} : { sinceEpochMs: BigInt(sinceMs) }),
  });
}
