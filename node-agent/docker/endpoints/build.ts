// `docker build` without BuildKit: a context and options in, the builder's steps out in the words of Docker's own builder.
import type { BuildEvent, BuildOptions, PruneOptions } from "../../build/build.ts";
import type { RegistryCredentials } from "../../images/images.ts";
import type { Door } from "../door.ts";
import { JsonObject, parseJson } from "../http/json.ts";
import { badRequest, messageOf } from "../http/problem.ts";
import { parseTime, type Query } from "../http/query.ts";
import { type Call, json, jsonLines, type Reply, type Route } from "../http/reply.ts";
import { credentialsOf } from "../images/credentials.ts";
import { familiarName } from "../images/names.ts";

export function buildRoutes(door: Door): readonly Route[] {
  return [
    ["POST /build", async (call) => build(door, call)],
    [
      "POST /build/prune",
      async ({ query }) => {
        // Steps have no labels: of those that are asked for by one there is none.
        if (query.filters(pruneFilters).has("label")) return json({ CachesDeleted: null, SpaceReclaimed: 0 });
        const { freedBytes } = await door.builder.prune(parsePrune(query, door.parts.clock.now()));
        return json({ CachesDeleted: null, SpaceReclaimed: freedBytes });
      },
    ],
  ];
}

const pruneFilters = ["until", "unused-for", "label", "label!"];

/** By age, by size, or all. */
export function parsePrune(query: Query, nowMs: number): PruneOptions {
  if ((query.number("min-free-space") ?? 0) > 0)
    throw badRequest("min-free-space is not supported by Naru: say how much to keep with reserved-space");
  const filters = query.filters(pruneFilters);
  const [until] = [...(filters.get("until") ?? []), ...(filters.get("unused-for") ?? [])];
  const usedSinceMs = parseTime(until ?? "", nowMs);
  const keepBytes = query.number("max-used-space") || query.number("reserved-space") || query.number("keep-storage");
  return {
    all: query.flag("all"),
    ...(keepBytes === undefined ? {} : { keepBytes }),
    ...(usedSinceMs === undefined ? {} : { usedSinceMs }),
  };
}

async function build({ builder, parts }: Door, call: Call): Promise<Reply> {
  const { query, headers } = call;
  const options = parseBuild(query, parseRegistryConfig(headers["x-registry-config"]));
  const quiet = query.flag("q");
  return jsonLines(async (send, signal) => {
    let sending: Promise<void> = Promise.resolve();
    const tell = (line: object) => {
      sending = sending.then(() => send(line)).catch(() => {});
    };
    const show = openShow(tell);
    for (const warning of buildWarnings(query)) tell({ stream: `[Warning] ${warning}\n` });
    try {
      const { image } = await builder.build(
        { type: "tar", stream: wholeTar(call.body) },
        options,
        (event) => {
          if (!quiet) show(event);
        },
        signal,
      );
      tell({ aux: { ID: image.id } });
      if (quiet) tell({ stream: `${image.id}\n` });
      else tell({ stream: `Successfully built ${image.id.replace("sha256:", "").slice(0, 12)}\n` });
      for (const tag of options.tags ?? []) {
        if (!quiet) tell({ stream: `Successfully tagged ${familiarName(withLatest(tag))}\n` });
      }
    } catch (error) {
      const message = messageOf(error);
      parts.log.info({ error: message }, "a build failed");
      const code = typeof error === "object" && error !== null && "exitCode" in error ? error.exitCode : undefined;
      tell({ errorDetail: { ...(typeof code === "number" ? { code } : {}), message }, error: message });
    }
    await sending;
  });
}

/** Steps as they come, their outputs under them. */
function openShow(tell: (line: object) => void): (event: BuildEvent) => void {
  const told = new Set<number>();
  return (event) => {
    switch (event.type) {
      case "step":
        if (!told.has(event.id))
          tell({
            stream: `Step ${told.size + 1} : ${event.name}
`,
          });
        told.add(event.id);
        if (event.state === "cached") tell({ stream: " ---> Using cache\n" });
        return;
      case "output":
        tell({ stream: event.data.toString() });
        return;
      case "progress":
        tell({
          status: event.what,
          id: String(event.id),
          progressDetail: { current: event.doneBytes, total: event.totalBytes },
        });
        return;
      case "warning":
        tell({ stream: `[Warning] ${event.line === undefined ? "" : `line ${event.line}: `}${event.text}\n` });
        return;
      case "image":
        return;
    }
  };
}

const blockBytes = 512;
/** What gzip, zstd, xz and bzip2 begin with: their tars have their end within. */
const compressed = ["1f8b", "28b52ffd", "fd377a585a00", "425a68"];

/** With the end that docker's command leaves off when it puts a Dockerfile of its own into the context. */
export async function* wholeTar(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let start = "";
  for await (const part of body) {
    if (start.length < 12) start += Buffer.from(part.subarray(0, 6)).toString("hex");
    bytes += part.length;
    yield part;
  }
  if (!compressed.some((magic) => start.startsWith(magic)))
    yield Buffer.alloc(((blockBytes - (bytes % blockBytes)) % blockBytes) + 2 * blockBytes);
}

/** How docker's command names a Dockerfile from outside of the context, or from stdin. */
const sentDockerfile = /^\.dockerfile\.[0-9a-f]{20}$/;
const refused = ["squash", "outputs", "ulimits", "securityopt", "isolation", "cgroupparent"];
/** How much a build may use: not acted on, and said to be so. */
const tuning = ["memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "cpusetcpus", "cpusetmems"];
const isNothing = (text: string) => ["", "0", "false", "null", "[]", "{}", "default"].includes(text);

export function buildWarnings(query: Query): readonly string[] {
  return tuning
    .filter((name) => (name.startsWith("cpuset") ? query.text(name) !== "" : !isNothing(query.text(name))))
    .map((name) => `${name}=${query.text(name)} is not applied to builds by Naru`);
}

export function parseBuild(
  query: Query,
  credentials: ReadonlyMap<string, readonly RegistryCredentials[]>,
): BuildOptions {
  if (query.text("version") === "2")
    throw badRequest(`this API builds without BuildKit's protocol: set DOCKER_BUILDKIT=0, or use 'naru build'`);
  if (query.text("remote") !== "")
    throw badRequest(`remote=${query.text("remote")}: send the context itself, Naru fetches none`);
  for (const name of refused) {
    if (!isNothing(query.text(name)))
      throw badRequest(`build option ${name}=${query.text(name)} is not supported by Naru`);
  }
  const map = (name: string) => {
    const text = query.text(name);
    if (text === "") return {};
    const object = new JsonObject(parseJson(text), name);
    return Object.fromEntries(object.keys().flatMap((key) => (object.has(key) ? [[key, object.text(key)]] : [])));
  };
  const cacheFrom: unknown = parseJson(query.text("cachefrom") || "[]");
  const shmBytes = query.number("shmsize") ?? 0;
  const [os = "", architecture = "", variant] = query.text("platform").split("/");
  const dockerfile = query.text("dockerfile") || "Dockerfile";
  return {
    dockerfile,
    ...(sentDockerfile.test(dockerfile) ? { dockerfileShown: "Dockerfile" } : {}),
    tags: query.texts("t"),
    buildArgs: map("buildargs"),
    labels: map("labels"),
    noCache: query.flag("nocache"),
    pull: query.flag("pull"),
    network: networkOf(query.text("networkmode")),
    extraHosts: query
      .text("extrahosts")
      .split(",")
      .filter((entry) => entry !== ""),
    ...(query.text("target") === "" ? {} : { target: query.text("target") }),
    ...(shmBytes > 0 ? { shmBytes } : {}),
    ...(Array.isArray(cacheFrom) && cacheFrom.every((name) => typeof name === "string") && cacheFrom.length > 0
      ? { cacheFrom }
      : {}),
    ...(architecture === "" ? {} : { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }),
    credentials: (registry) => credentials.get(registry) ?? [],
  };
}

function networkOf(mode: string): "default" | "none" | "host" {
  if (mode === "none" || mode === "host") return mode;
  if (mode === "" || mode === "default" || mode === "bridge") return "default";
  throw badRequest(`networkmode ${JSON.stringify(mode)} is not supported for builds, only default, none and host`);
}

/** JSON in base64: settings by registry. */
export function parseRegistryConfig(
  header: string | readonly string[] | undefined,
): ReadonlyMap<string, readonly RegistryCredentials[]> {
  if (typeof header !== "string" || header === "") return new Map();
  const text = Buffer.from(header, "base64url").toString("utf8").trim();
  // "null" is what docker 20.10 sends when it has no logins.
  const object = new JsonObject((text === "" ? undefined : parseJson(text)) ?? {}, "X-Registry-Config");
  return new Map(
    object.keys().map((key) => {
      const host = key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
      return [host === "index.docker.io" ? "docker.io" : host, credentialsOf(object.object(key))];
    }),
  );
}

function withLatest(tag: string): string {
  return /:[^/]+$/.test(tag) ? tag : `${tag}:latest`;
}
