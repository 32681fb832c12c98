// Docker's Engine API endpoint by endpoint: each of the facts' is called over the socket, and what it answers is held against them.
import { deepEqual, equal } from "node:assert/strict";
import { type IncomingMessage, request } from "node:http";
import { after, before, test } from "node:test";
import { readAll } from "../../node-agent/runtime/contract.ts";
import { type ApiCall, apiCalls } from "./docker-api-calls.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";
import { compare, type Differences, operations } from "./docker-facts.ts";

let engine: DockerEngine;
before(async () => {
  engine = await startDocker();
  for (const args of [
    ["network", "create", "there"],
    ["volume", "create", "there"],
    ["create", "--name", "idle", "busybox", "echo", "hello"],
    ["tag", "busybox", "named:1"],
    ["tag", "busybox", "named:2"],
  ])
    await engine.ok(args);
  // Debian's docker command is too old for some of it.
  await ask({ endpoint: "POST /containers/create", query: "name=runs", body: running });
  await engine.ok(["start", "runs"]);
});
after(() => engine[Symbol.asyncDispose]());

const running = {
  Image: "busybox",
  Cmd: ["sleep", "1000"],
  Healthcheck: { Test: ["CMD-SHELL", "true"] },
  StopSignal: "SIGTERM",
  StopTimeout: 1,
  ExposedPorts: { "80/tcp": {} },
  HostConfig: {
    Annotations: { a: "b" },
    PidsLimit: 200,
    PortBindings: { "80/tcp": [{ HostPort: "18230" }] },
    Binds: ["there:/there"],
    NetworkMode: "there",
  },
};

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

type Asked = Omit<ApiCall, "status">;

const kept = new Map<string, string>();

function place({ endpoint, params = {}, query = "" }: Asked): string {
  const path = endpoint.split(" ")[1] ?? "";
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name] ?? "absent";
    return kept.get(value) ?? value;
  });
  return `/v1.50${filled}${query === "" ? "" : `?${query}`}`;
}

function ask(call: Asked): Promise<Answer> {
  const method = call.endpoint.split(" ")[0] ?? "";
  const { body, headers = {} } = call;
  const isJson = body !== undefined && !(body instanceof Buffer);
  return new Promise((resolve, reject) => {
    const asked = request({
      socketPath: engine.socketPath,
      method,
      path: place(call),
      headers: { ...(isJson ? { "Content-Type": "application/json" } : {}), ...headers },
    });
    const answered = (response: IncomingMessage) => {
      readAnswer(response, call).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    };
    asked.on("response", answered);
    asked.on("upgrade", (response: IncomingMessage, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, body: undefined });
    });
    asked.on("error", reject);
    asked.setTimeout(20_000, () => asked.destroy(new Error(`${call.endpoint} gives no answer`)));
    asked.end(isJson ? JSON.stringify(body) : body);
  });
}

async function readAnswer(response: IncomingMessage, { firstLine }: Asked): Promise<unknown> {
  const type = response.headers["content-type"] ?? "";
  if (firstLine === true) {
    const [first] = (await response.iterator({ destroyOnReturn: true }).next()).value.toString().split("\n");
    return JSON.parse(first);
  }
  const text = await readAll(response);
  if (!type.startsWith("application/json") || text === "") return undefined;
  // Of an answer that comes in lines the last.
  return JSON.parse(text.trim().split("\r\n").at(-1) ?? "");
}

test("every endpoint of the API is called", () => {
  const called = new Set(apiCalls.map(({ endpoint }) => endpoint));
  deepEqual(
    [...operations.keys()].filter((endpoint) => !called.has(endpoint)),
    // Of versions after 1.50.
    ["GET /images/{name}/attestations"],
  );
});

const seen = new Map<string, Differences>();

for (const call of apiCalls)
  test(`${call.endpoint} ${call.what ?? ""} answers ${call.status}`, async () => {
    const { status, body } = await ask(call);
    equal(status, call.status, JSON.stringify(body));
    if (call.keep !== undefined) kept.set(call.keep, (body as { readonly Id: string }).Id);
    const operation = operations.get(call.endpoint);
    const described = operation?.responses[String(status)];
    // 400 for what is malformed is answered everywhere.
    equal(described !== undefined || status === 400 || call.undescribed === true, true, `the facts know no ${status}`);
    const schema = described?.schema ?? (status >= 400 ? { $ref: "#/definitions/ErrorResponse" } : undefined);
    if (schema === undefined || body === undefined) return;
    const { wrong, missing, extra } = compare(body, schema);
    deepEqual(wrong, []);
    const before = seen.get(call.endpoint);
    if (status >= 400) return;
    seen.set(call.endpoint, {
      wrong,
      // What any of the calls showed is not missing.
      missing: before === undefined ? missing : before.missing.filter((place) => missing.includes(place)),
      extra: [...new Set([...(before?.extra ?? []), ...extra])],
    });
  });

/** Fields that no answer shows, or that are shown although the newest version has them no more; by why. */
const known: Readonly<Record<string, readonly string[]>> = {
  "of later versions": [
    ...["ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage"].map(
      (usage) => `GET /system/df: lacks ${usage}`,
    ),
    ...["GET /info: lacks NRI", "GET /info: lacks DiscoveredDevices", "GET /networks/{id}: lacks Status"],
    ...["GET /images/{name}/json: lacks Identity", "GET /containers/{id}/json: lacks Storage"],
  ],
  "of versions up to 1.50": [
    ...["GET /info: has BridgeNfIptables", "GET /info: has BridgeNfIp6tables"],
    "GET /info: has RegistryConfig.AllowNondistributableArtifactsCIDRs",
    "GET /info: has RegistryConfig.AllowNondistributableArtifactsHostnames",
    ...["ContainerdCommit", "RuncCommit", "InitCommit"].map((commit) => `GET /info: has ${commit}.Expected`),
    ...["GET /events: has status", "GET /events: has id", "GET /networks: has [].Containers"],
    ...["Bridge", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress"].map(
      (field) => `GET /containers/{id}/json: has NetworkSettings.${field}`,
    ),
    ...["LayersSize", "Images", "Containers", "Volumes", "BuildCache"].map((field) => `GET /system/df: has ${field}`),
    ...["Parent", "DockerVersion", "VirtualSize"].map((field) => `GET /images/{name}/json: has ${field}`),
  ],
  "of swarm mode": [
    ...["Cluster", "Managers", "Nodes"].map((field) => `GET /info: lacks Swarm.${field}`),
    ...["GET /networks/{id}: lacks Peers", "GET /networks/{id}: lacks Services", "GET /networks: lacks [].Peers"],
    ...["GET /volumes/{name}", "POST /volumes/create"].map((endpoint) => `${endpoint}: lacks ClusterVolume`),
    "GET /volumes: lacks Volumes[].ClusterVolume",
  ],
  "of engines on containerd": [
    ...["GET /info: lacks Containerd", "GET /containers/json: lacks [].ImageManifestDescriptor"],
    ...["GET /containers/{id}/json: lacks ImageManifestDescriptor", "GET /images/json: lacks [].Descriptor"],
    ...["GET /images/json: lacks [].Manifests", "GET /images/{name}/json: lacks Descriptor"],
    "GET /images/{name}/json: lacks Manifests",
  ],
  "of Windows": [
    ...["Config.ArgsEscaped", "Config.NetworkDisabled"].map((field) => `GET /containers/{id}/json: lacks ${field}`),
    ...["GET /images/{name}/json: lacks Config.ArgsEscaped", "GET /images/{name}/json: lacks OsVersion"],
    ...["read_count_normalized", "read_size_bytes", "write_count_normalized", "write_size_bytes"].map(
      (field) => `GET /containers/{id}/stats: lacks storage_stats.${field}`,
    ),
    ...["commitbytes", "commitpeakbytes", "privateworkingset"].map(
      (field) => `GET /containers/{id}/stats: lacks memory_stats.${field}`,
    ),
    ...["endpoint_id", "instance_id"].map((field) => `GET /containers/{id}/stats: lacks networks.*.${field}`),
  ],
  "where there is none": [
    ...[
      "Entrypoint",
      "ExposedPorts",
      "Healthcheck",
      "OnBuild",
      "Shell",
      "StopSignal",
      "User",
      "Volumes",
      "WorkingDir",
    ].map((field) => `GET /images/{name}/json: lacks Config.${field}`),
    ...["GET /images/{name}/json: lacks Variant", "GET /containers/{id}/json: lacks Config.Shell"],
    ...["GET /networks/{id}: lacks IPAM.Config[].IPRange", "GET /networks: lacks [].IPAM.Config[].IPRange"],
    ...["GET /networks/{id}: lacks IPAM.Config[].AuxiliaryAddresses", "POST /volumes/create: lacks UsageData"],
    ...["GET /networks: lacks [].IPAM.Config[].AuxiliaryAddresses", "GET /volumes/{name}: lacks UsageData"],
    "GET /containers/json: lacks [].HostConfig.Annotations",
    ...["GET /volumes: lacks Volumes[].UsageData", "POST /containers/{id}/wait: lacks Error"],
    ...["GET /volumes/{name}", "POST /volumes/create"].map((endpoint) => `${endpoint}: lacks Status`),
    ...["GET /volumes: lacks Volumes[].Status", "DELETE /images/{name}: lacks [].Deleted"],
    ...["Deleted", "Untagged"].map((field) => `POST /images/prune: lacks ImagesDeleted[].${field}`),
    ...["GET /info: lacks ProductLicense", "GET /info: lacks FirewallBackend.Info", "GET /version: lacks Experimental"],
    ...["Runtimes.*.runtimeArgs", "Runtimes.*.status"].map((field) => `GET /info: lacks ${field}`),
    "GET /containers/{id}/json: lacks HostConfig.StorageOpt",
  ],
  // Of the first version of cgroups alone, where nobody looks at them.
  "not measured": [
    ...["cpu_stats.cpu_usage.percpu_usage", "precpu_stats.cpu_usage.percpu_usage", "memory_stats.failcnt"].map(
      (field) => `GET /containers/{id}/stats: lacks ${field}`,
    ),
    ...["GET /containers/{id}/stats: lacks memory_stats.max_usage", "GET /info: lacks DefaultAddressPools"],
  ],
};

test("no field is missing or extra but those that are known", () => {
  const shown = [...seen].flatMap(([endpoint, { missing, extra }]) => [
    ...missing.map((field) => `${endpoint}: lacks ${field}`),
    ...extra.map((field) => `${endpoint}: has ${field}`),
  ]);
  deepEqual(shown.toSorted(), Object.values(known).flat().toSorted());
});
