// What the test of Docker's Engine API asks, in this order, and the status of the answer. "runs" is a container that runs, "idle" one
// that does not; network and volume "there" are in use.
export interface ApiCall {
  readonly endpoint: string;
  readonly status: number;
  /** What is special about it. */
  readonly what?: string;
  /** For the braces of the path; a value that an earlier call kept stands for what it kept. */
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Remembers the answer's Id under this name. */
  readonly keep?: string;
  /** The answer goes on for ever. */
  readonly firstLine?: true;
  /** A status that the facts don't list for it. */
  readonly undescribed?: true;
}

const runs = { params: { id: "runs" } };
const idle = { params: { id: "idle" } };
const image = { params: { name: "busybox" } };
const upgrade = (protocol: string) => ({
  headers: {
    Connection: "Upgrade",
    Upgrade: protocol,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
  },
});

type More = Omit<ApiCall, "endpoint" | "status">;
const call = (endpoint: string, status: number, more: More = {}): ApiCall => ({ endpoint, status, ...more });
const malformed = (endpoint: string): ApiCall =>
  call(endpoint, 400, {
    what: "with a body that is no JSON",
    body: Buffer.from("{"),
    params: { id: "runs", name: "x" },
  });

const system = [
  call("GET /_ping", 200),
  call("HEAD /_ping", 200),
  call("GET /version", 200),
  call("GET /info", 200),
  call("GET /events", 200, { query: "since=1&until=1.5" }),
  call("GET /events", 200, { what: "of the past", query: "since=1", firstLine: true }),
  call("GET /events", 400, { what: "with an unknown filter", query: 'filters={"flying":["1"]}' }),
  call("GET /events", 400, { what: "until before since", query: "since=5&until=1" }),
  call("GET /system/df", 200),
  call("GET /system/df", 200, { what: "of volumes", query: "type=volume" }),
  call("POST /auth", 400, { what: "without a name", body: {} }),
  call("POST /auth", 500, {
    what: "to a registry that is not there",
    body: { username: "a", password: "b", serveraddress: "127.0.0.1:1" },
  }),
];

const containers = [
  call("GET /containers/json", 200, { query: "all=1&size=1" }),
  call("GET /containers/json", 400, { what: "with an unknown filter", query: 'filters={"flying":["1"]}' }),
  call("POST /containers/create", 201, {
    keep: "$made",
    query: "name=made",
    body: { Image: "busybox", Cmd: ["true"] },
  }),
  call("POST /containers/create", 409, {
    what: "with a name that is taken",
    query: "name=runs",
    body: { Image: "busybox" },
  }),
  call("POST /containers/create", 404, { what: "of an image that is not here", body: { Image: "absent" } }),
  call("POST /containers/create", 404, {
    what: "for another platform",
    query: "platform=linux/riscv64",
    body: { Image: "busybox" },
  }),
  malformed("POST /containers/create"),
  call("GET /containers/{id}/json", 200, { ...runs, query: "size=1" }),
  call("GET /containers/{id}/json", 404),
  call("GET /containers/{id}/top", 200, runs),
  call("GET /containers/{id}/top", 409, { ...idle, what: "of one that does not run", undescribed: true }),
  call("GET /containers/{id}/top", 404),
  call("GET /containers/{id}/logs", 200, { ...idle, query: "stdout=1" }),
  call("GET /containers/{id}/logs", 400, { ...runs, what: "of no stream" }),
  call("GET /containers/{id}/logs", 404, { query: "stdout=1" }),
  call("GET /containers/{id}/changes", 200, runs),
  call("GET /containers/{id}/changes", 404),
  call("GET /containers/{id}/export", 200, idle),
  call("GET /containers/{id}/export", 404),
  call("GET /containers/{id}/stats", 200, { ...runs, query: "stream=0" }),
  call("GET /containers/{id}/stats", 200, { ...runs, what: "at once", query: "stream=0&one-shot=1" }),
  call("GET /containers/{id}/stats", 200, { ...runs, what: "as a stream", firstLine: true }),
  call("GET /containers/{id}/stats", 404),
  call("POST /containers/{id}/resize", 409, {
    ...idle,
    what: "of one that does not run",
    query: "h=1&w=1",
    undescribed: true,
  }),
  call("POST /containers/{id}/resize", 200, { ...runs, query: "h=20&w=80" }),
  call("POST /containers/{id}/resize", 400, { ...runs, what: "to no size", query: "h=a&w=80" }),
  call("POST /containers/{id}/resize", 404, { query: "h=1&w=1" }),
  call("POST /containers/{id}/update", 200, { ...runs, body: { PidsLimit: 100 } }),
  call("POST /containers/{id}/update", 404, { body: {} }),
  malformed("POST /containers/{id}/update"),
  call("POST /containers/{id}/pause", 204, runs),
  call("POST /containers/{id}/pause", 409, { ...runs, what: "again", undescribed: true }),
  call("POST /containers/{id}/pause", 404),
  call("POST /containers/{id}/unpause", 204, runs),
  call("POST /containers/{id}/unpause", 409, { ...runs, what: "again", undescribed: true }),
  call("POST /containers/{id}/unpause", 404),
  call("POST /containers/{id}/rename", 204, { params: { id: "$made" }, query: "name=renamed" }),
  call("POST /containers/{id}/rename", 409, {
    params: { id: "$made" },
    what: "to a name that is taken",
    query: "name=runs",
  }),
  call("POST /containers/{id}/rename", 400, { ...runs, what: "to no name" }),
  call("POST /containers/{id}/rename", 404, { query: "name=x" }),
  call("POST /containers/{id}/attach", 101, { ...runs, query: "stream=1&stdout=1", ...upgrade("tcp") }),
  call("POST /containers/{id}/attach", 200, { ...idle, query: "logs=1&stdout=1" }),
  call("POST /containers/{id}/attach", 404),
  call("GET /containers/{id}/attach/ws", 101, { ...runs, query: "stream=1&stdout=1", ...upgrade("websocket") }),
  call("GET /containers/{id}/attach/ws", 400, { ...runs, what: "without a WebSocket" }),
  call("GET /containers/{id}/attach/ws", 404, upgrade("websocket")),
  call("POST /containers/{id}/start", 204, { params: { id: "$made" } }),
  call("POST /containers/{id}/start", 304, { ...runs, what: "of one that runs" }),
  call("POST /containers/{id}/start", 404),
  call("POST /containers/{id}/wait", 200, { params: { id: "$made" } }),
  call("POST /containers/{id}/wait", 400, { ...runs, what: "for no condition", query: "condition=flying" }),
  call("POST /containers/{id}/wait", 404),
  call("HEAD /containers/{id}/archive", 200, { ...idle, query: "path=/bin/sh" }),
  call("HEAD /containers/{id}/archive", 404, { ...idle, what: "of no file", query: "path=/absent" }),
  call("HEAD /containers/{id}/archive", 400, { ...idle, what: "of no path" }),
  call("GET /containers/{id}/archive", 200, { ...idle, query: "path=/etc/passwd" }),
  call("GET /containers/{id}/archive", 404, { ...idle, what: "of no file", query: "path=/absent" }),
  call("GET /containers/{id}/archive", 400, { ...idle, what: "of no path" }),
  call("PUT /containers/{id}/archive", 200, { ...idle, query: "path=/tmp", body: Buffer.alloc(1024) }),
  call("PUT /containers/{id}/archive", 404, {
    ...idle,
    what: "into no folder",
    query: "path=/absent",
    body: Buffer.alloc(1024),
  }),
  call("PUT /containers/{id}/archive", 400, {
    ...idle,
    what: "into a file",
    query: "path=/etc/passwd",
    body: Buffer.alloc(1024),
  }),
  call("POST /commit", 201, { query: "container=idle&repo=kept&tag=1", body: {} }),
  call("POST /commit", 404, { query: "container=absent", body: {} }),
  call("POST /commit", 400, { what: "with a body that is no JSON", query: "container=idle", body: Buffer.from("{") }),
];

const execs = [
  call("POST /containers/{id}/exec", 201, { ...runs, keep: "$exec", body: { Cmd: ["true"], AttachStdout: true } }),
  call("POST /containers/{id}/exec", 404, { body: { Cmd: ["true"] } }),
  call("POST /containers/{id}/exec", 409, { ...idle, what: "in one that does not run", body: { Cmd: ["true"] } }),
  malformed("POST /containers/{id}/exec"),
  call("POST /exec/{id}/resize", 409, {
    params: { id: "$exec" },
    what: "before it runs",
    query: "h=1&w=1",
    undescribed: true,
  }),
  call("POST /exec/{id}/start", 200, { params: { id: "$exec" }, body: {} }),
  call("POST /exec/{id}/start", 409, { params: { id: "$exec" }, what: "again", body: {} }),
  call("POST /exec/{id}/start", 404, { body: {} }),
  call("POST /exec/{id}/resize", 200, { params: { id: "$exec" }, query: "h=20&w=80" }),
  call("POST /exec/{id}/resize", 404, { query: "h=1&w=1" }),
  call("GET /exec/{id}/json", 200, { params: { id: "$exec" } }),
  call("GET /exec/{id}/json", 404),
];

const images = [
  call("GET /images/json", 200, { query: "shared-size=1" }),
  call("GET /images/json", 400, { what: "with an unknown filter", query: 'filters={"flying":["1"]}' }),
  call("GET /images/{name}/json", 200, { ...image, keep: "$image" }),
  call("GET /images/{name}/json", 404, {
    ...image,
    what: "of another platform",
    query: 'platform={"os":"linux","architecture":"s390x"}',
  }),
  call("GET /images/{name}/json", 404),
  call("GET /images/{name}/history", 200, image),
  call("GET /images/{name}/history", 404),
  call("POST /images/{name}/tag", 201, { ...image, query: "repo=also&tag=1" }),
  call("POST /images/{name}/tag", 400, { ...image, what: "with no name", query: "repo=UPPER" }),
  call("POST /images/{name}/tag", 404, { query: "repo=also" }),
  call("GET /images/{name}/get", 200, image),
  call("GET /images/{name}/get", 404, { undescribed: true }),
  call("GET /images/get", 200, { query: "names=busybox" }),
  call("POST /images/load", 400, { what: "of no archive", body: Buffer.from("no tar") }),
  call("POST /images/create", 500, {
    what: "of a registry that is not there",
    query: "fromImage=127.0.0.1:1/absent&platform=linux/s390x",
  }),
  call("POST /images/create", 200, {
    what: "of an archive",
    query: "fromSrc=-&repo=imported",
    body: Buffer.alloc(1024),
  }),
  call("POST /images/create", 400, { what: "of nothing" }),
  call("POST /images/{name}/push", 404, { headers: { "X-Registry-Auth": "e30=" } }),
  call("GET /images/search", 500, { what: "where no registry is", query: "term=127.0.0.1:1/x" }),
  call("GET /images/search", 400, { what: "for too many", query: "term=x&limit=200" }),
  call("GET /distribution/{name}/json", 500, { what: "where no registry is", params: { name: "127.0.0.1:1/x" } }),
  call("DELETE /images/{name}", 200, { params: { name: "named:1" } }),
  call("DELETE /images/{name}", 409, { params: { name: "$image" }, what: "of a container" }),
  call("DELETE /images/{name}", 404),
  call("POST /build", 200, { what: "of a context without Dockerfile", body: Buffer.alloc(1024) }),
  call("POST /build", 400, { what: "of no network", query: "networkmode=flying" }),
  call("POST /build/prune", 200),
  call("POST /session", 400, { what: "without h2c" }),
  call("POST /session", 101, upgrade("h2c")),
];

const volumes = [
  call("GET /volumes", 200),
  call("GET /volumes", 400, { what: "with an unknown filter", query: 'filters={"flying":["1"]}' }),
  call("POST /volumes/create", 201, { body: { Name: "made", Labels: { a: "b" } } }),
  malformed("POST /volumes/create"),
  call("GET /volumes/{name}", 200, { params: { name: "made" } }),
  call("GET /volumes/{name}", 404),
  call("PUT /volumes/{name}", 503, { params: { name: "made" }, query: "version=1", body: {} }),
  call("DELETE /volumes/{name}", 409, { params: { name: "there" }, what: "in use" }),
  call("DELETE /volumes/{name}", 204, { params: { name: "made" } }),
  call("DELETE /volumes/{name}", 404),
  call("POST /volumes/prune", 200),
];

const networks = [
  call("GET /networks", 200),
  call("GET /networks", 400, { what: "with an unknown filter", query: 'filters={"flying":["1"]}' }),
  call("POST /networks/create", 201, { keep: "$network", body: { Name: "made" } }),
  call("POST /networks/create", 409, { what: "with a name that is taken", body: { Name: "made" }, undescribed: true }),
  call("POST /networks/create", 404, { what: "of no driver", body: { Name: "wide", Driver: "overlay" } }),
  malformed("POST /networks/create"),
  call("GET /networks/{id}", 200, { params: { id: "there" } }),
  call("GET /networks/{id}", 404),
  call("POST /networks/{id}/connect", 200, { params: { id: "made" }, body: { Container: "runs" } }),
  call("POST /networks/{id}/connect", 403, { params: { id: "made" }, what: "again", body: { Container: "runs" } }),
  call("POST /networks/{id}/connect", 404, { body: { Container: "runs" } }),
  call("POST /networks/{id}/connect", 400, {
    params: { id: "there" },
    what: "with a body that is no JSON",
    body: Buffer.from("{"),
  }),
  call("POST /networks/{id}/disconnect", 200, { params: { id: "made" }, body: { Container: "runs" } }),
  call("POST /networks/{id}/disconnect", 403, { params: { id: "made" }, what: "again", body: { Container: "runs" } }),
  call("POST /networks/{id}/disconnect", 404, { body: { Container: "runs" } }),
  call("DELETE /networks/{id}", 204, { params: { id: "$network" } }),
  call("DELETE /networks/{id}", 403, { params: { id: "bridge" }, what: "of a predefined one" }),
  call("DELETE /networks/{id}", 404),
  call("POST /networks/prune", 200),
];

const ends = [
  call("POST /containers/{id}/restart", 204, { ...runs, query: "t=0" }),
  call("POST /containers/{id}/restart", 404),
  call("POST /containers/{id}/kill", 204, { ...runs, query: "signal=SIGHUP" }),
  call("POST /containers/{id}/kill", 409, { ...idle, what: "of one that does not run" }),
  call("POST /containers/{id}/kill", 400, { ...runs, what: "with no signal", query: "signal=SIGFLY" }),
  call("POST /containers/{id}/kill", 404),
  call("DELETE /containers/{id}", 409, { ...runs, what: "of one that runs" }),
  call("POST /containers/{id}/stop", 204, { ...runs, query: "t=0" }),
  call("POST /containers/{id}/stop", 304, { ...runs, what: "again" }),
  call("POST /containers/{id}/stop", 404),
  call("DELETE /containers/{id}", 204, { ...runs, query: "v=1" }),
  call("DELETE /containers/{id}", 404),
  call("POST /containers/prune", 200),
  call("POST /images/prune", 200, { query: 'filters={"dangling":["false"]}' }),
];

const swarm = [
  ...["GET /swarm", "POST /swarm/init", "POST /swarm/join", "POST /swarm/leave", "POST /swarm/update"],
  ...["GET /swarm/unlockkey", "POST /swarm/unlock", "GET /nodes", "GET /nodes/{id}", "DELETE /nodes/{id}"],
  ...["POST /nodes/{id}/update", "GET /services", "POST /services/create", "GET /services/{id}"],
  ...["DELETE /services/{id}", "POST /services/{id}/update", "GET /services/{id}/logs", "GET /tasks"],
  ...["GET /tasks/{id}", "GET /tasks/{id}/logs", "GET /secrets", "POST /secrets/create", "GET /secrets/{id}"],
  ...["DELETE /secrets/{id}", "POST /secrets/{id}/update", "GET /configs", "POST /configs/create"],
  ...["GET /configs/{id}", "DELETE /configs/{id}", "POST /configs/{id}/update"],
].map((endpoint) => call(endpoint, 503));

const plugins = [
  call("GET /plugins", 200),
  call("GET /plugins/privileges", 500),
  call("POST /plugins/pull", 500),
  call("POST /plugins/create", 500),
  ...[
    ...["GET /plugins/{name}/json", "DELETE /plugins/{name}", "POST /plugins/{name}/enable"],
    ...["POST /plugins/{name}/disable", "POST /plugins/{name}/upgrade", "POST /plugins/{name}/push"],
    "POST /plugins/{name}/set",
  ].map((endpoint) => call(endpoint, 404)),
];

export const apiCalls: readonly ApiCall[] = [
  ...[...system, ...containers, ...execs, ...images, ...volumes, ...networks, ...swarm, ...plugins],
  ...ends,
];
