// Requests for paths: discovery, OpenAPI, version, health, metrics and Naru's own routes.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Bind } from "../../client/client.ts";
import { type Descriptions, openapiV2, openapiV3, openapiV3Paths } from "../kinds/schema/openapi.ts";
import { encodeOpenapiV2, openapiV2ProtoContentType, openapiV2ProtoTypes } from "../kinds/schema/openapi-v2-proto.ts";
import { isObject } from "../kinds/schema/schema.ts";
import { ApiError } from "../kinds/status.ts";
import type { ApiMetrics } from "../metrics.ts";
import { printObjectMetrics } from "../object-metrics/object-metrics.ts";
import { type View, viewOf } from "./accept.ts";
import { asApiError, sendBytes, sendJson } from "./answer.ts";
import { readBody } from "./body.ts";
import { aggregated, coreVersions, groupDocument, groupList, resourceList } from "./discovery.ts";
import { type Door, type Exchange, header } from "./exchange.ts";
import { sendHealth } from "./health.ts";
import { handleImages } from "./images.ts";
import { handleJoin, handleRenew, handleToken, type JoinDoor } from "./join.ts";
import { sendTargets } from "./prometheus-targets.ts";
import { customKindsPath, noSuchResource, type PathRequest, servedResources } from "./request-info.ts";
import { sendStoreCopy } from "./store-copy.ts";

export interface DocumentsOptions {
  readonly door: Door;
  readonly join: JoinDoor;
  readonly metrics: ApiMetrics;
  /** "127.0.0.1:6443" */
  readonly serverAddress: () => string;
  /** Naru's own version. */
  readonly version: string;
  /** False while the server starts or stops. */
  readonly isReady: () => boolean;
}

type Documents = (exchange: Exchange, info: PathRequest) => Promise<number>;

export function documents(options: DocumentsOptions): Documents {
  const openapi = openapiDocuments();
  return async (exchange, info) => {
    const [root, ...rest] = info.segments;
    const readonly = root !== "naru";
    if (readonly && !["GET", "HEAD"].includes(exchange.method)) {
      throw new ApiError("MethodNotAllowed", "the server does not allow this method on the requested resource");
    }
    switch (root) {
      case "api":
      case "apis":
        if (info.path === customKindsPath) return noCustomKinds(exchange);
        return discovery(exchange, options, info);
      case "openapi":
        return openapi(exchange, rest);
      case "version":
        await sendJson(exchange, versionDocument(options.version));
        return 200;
      case "healthz":
      case "livez":
      case "readyz":
        return sendHealth(exchange, info.segments, options);
      case "metrics":
        return metricsText(exchange, options);
      case "naru":
        return naru(options, exchange, rest);
      case undefined:
        await sendJson(exchange, {
          paths: [
            "/api",
            "/apis",
            "/healthz",
            "/livez",
            "/metrics",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
          ],
        });
        return 200;
      default:
        throw noSuchResource();
    }
  };
}

async function discovery(exchange: Exchange, { serverAddress }: DocumentsOptions, info: PathRequest): Promise<number> {
  const [root, group, version] = info.segments;
  const view = viewOf(header(exchange, "accept"));
  if (group === undefined && view.as === "APIGroupDiscoveryList") {
    await sendAggregated(exchange, root === "api" ? "api" : "apis", view);
    return 200;
  }
  const document =
    root === "api"
      ? group === undefined
        ? coreVersions(serverAddress())
        : resourceList(group, servedResources)
      : group === undefined
        ? groupList(servedResources)
        : version === undefined
          ? groupDocument(group, servedResources)
          : resourceList(`${group}/${version}`, servedResources);
  if (document === undefined) throw noSuchResource();
  await sendJson(exchange, document);
  return 200;
}

async function noCustomKinds(exchange: Exchange): Promise<number> {
  const kind = "CustomResourceDefinitionList";
  await sendJson(exchange, { kind, apiVersion: "apiextensions.k8s.io/v1", metadata: {}, items: [] });
  return 200;
}

async function sendAggregated(exchange: Exchange, root: "api" | "apis", { version }: View): Promise<void> {
  const body = Buffer.from(JSON.stringify(aggregated(servedResources, root, version)));
  const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  exchange.response.setHeader("vary", "Accept");
  await sendBytes(exchange, { body, type });
}

/** The documents do not change while the server runs: each is printed once, when somebody first asks. */
function openapiDocuments(): (exchange: Exchange, rest: readonly string[]) => Promise<number> {
  const typed = servedResources.filter(({ type }) => type !== "");
  const v2 = once(() => Buffer.from(JSON.stringify(openapiV2(typed, readDescriptions()))));
  const v2Proto = once(() => Buffer.from(encodeOpenapiV2(openapiV2(typed, readDescriptions()))));
  const paths = once(() => openapiV3Paths(typed));
  const v3 = new Map<string, Buffer>();
  const v3Of = (path: string) => {
    const made = v3.get(path) ?? Buffer.from(JSON.stringify(openapiV3(path, typed, readDescriptions())));
    v3.set(path, made);
    return made;
  };
  return async (exchange, [version, ...rest]) => {
    if (version === "v2" && rest.length === 0) {
      const accept = header(exchange, "accept") ?? "";
      const wantsProto = openapiV2ProtoTypes.some((type) => accept.includes(type));
      await sendBytes(exchange, wantsProto ? { body: v2Proto(), type: openapiV2ProtoContentType } : { body: v2() });
      return 200;
    }
    if (version !== "v3") throw noSuchResource();
    const path = rest.join("/");
    if (path === "") {
      const entries = paths().map((name) => [
        name,
        { serverRelativeURL: `/openapi/v3/${name}?hash=${hashOf(v3Of(name))}` },
      ]);
      await sendJson(exchange, { paths: Object.fromEntries(entries) });
      return 200;
    }
    if (!paths().includes(path)) throw noSuchResource();
    await sendBytes(exchange, { body: v3Of(path) });
    return 200;
  };
}

// By type and field, "" for the type itself. Not kept: only the printed documents are.
function readDescriptions(): Descriptions {
  return JSON.parse(readFileSync(new URL("../kinds/descriptions.json", import.meta.url), "utf8")) as Descriptions;
}

function hashOf(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex").slice(0, 32).toUpperCase();
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** The Kubernetes API that is spoken here; clients compare their own version with it. */
function versionDocument(version: string) {
  return {
    major: "1",
    minor: "36",
    emulationMajor: "1",
    emulationMinor: "36",
    gitVersion: `v1.36.0+naru.${version}`,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: "",
    compiler: `node ${process.version}`,
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}

async function metricsText(exchange: Exchange, { metrics: { registry }, door }: DocumentsOptions): Promise<number> {
  const body = Buffer.concat([Buffer.from(await registry.metrics()), await printObjectMetrics(door.context.cache)]);
  await sendBytes(exchange, { body, type: registry.contentType });
  return 200;
}

const bindsMax = 10_000;

async function naru(
  options: DocumentsOptions,
  exchange: Exchange,
  [version, what, ...rest]: readonly string[],
): Promise<number> {
  const { door, join } = options;
  if (version !== "v1") throw noSuchResource();
  if (what === "nodes" && rest.length === 2 && rest[1] === "images") return handleImages(door, exchange, rest[0] ?? "");
  if (exchange.method === "GET" && what === "prometheus" && rest.join() === "targets")
    return sendTargets(door, exchange);
  if (exchange.method === "GET" && what === "store" && rest.join() === "copy") return sendStoreCopy(door, exchange);
  if (exchange.method !== "POST" || rest.length > 0) throw noSuchResource();
  switch (what) {
    case "join":
      return handleJoin(door, exchange, join);
    case "renew":
      return handleRenew(door, exchange, join);
    case "tokens":
      return handleToken(door, exchange, join);
    case "binds":
      return binds(door, exchange);
    default:
      throw noSuchResource();
  }
}

/** POST /naru/v1/binds {binds: [{namespace, name, uid, node}]}: answers {outcomes}, null or a Status for each. */
async function binds(door: Door, exchange: Exchange): Promise<number> {
  const body = await readBody(exchange);
  const list = isObject(body) ? body["binds"] : undefined;
  if (!Array.isArray(list) || list.length > bindsMax || !list.every(isBind)) {
    throw new ApiError(
      "BadRequest",
      `the body must be {binds: [{namespace, name, uid, node}]}, at most ${bindsMax} of them`,
    );
  }
  const outcomes = await door.verbs.bind(list);
  await sendJson(exchange, {
    outcomes: outcomes.map((error) => (error === undefined ? null : asApiError(error).toStatus())),
  });
  return 200;
}

function isBind(value: unknown): value is Bind {
  if (!isObject(value)) return false;
  const { namespace, name, uid, node } = value;
  return [namespace, name, uid, node].every((text) => typeof text === "string") && node !== "";
}
