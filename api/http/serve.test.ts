import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { gunzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { httpClient, lines, pathOf } from "../../client/http.ts";
import { joinCluster, renewIdentity } from "../../client/join.ts";
import type { Connection } from "../../client/kubeconfig.ts";
import { httpsTransport, tlsOptions } from "../../client/transport.ts";
import { type Frame, FrameSchema } from "../../proto/generated/node_pb.ts";
import { openTestServer, type TestServer } from "../../test/api.ts";
import { configmaps, pods } from "../kinds/generated/resources.ts";
import { issueClient } from "../pki/pki.ts";
import type { NodeRequest, StreamBroker, StreamUpgrade } from "./stream-broker.ts";

interface Answer {
  readonly code: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** One request over HTTP/2, as Go clients send it. */
async function ask(
  connection: Connection,
  path: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string | Buffer;
  } = {},
): Promise<Answer> {
  const session = connect(connection.server, tlsOptions(connection));
  try {
    const stream = session.request({ ":path": path, ":method": options.method ?? "GET", ...options.headers });
    // A server that refuses a body before reading it resets the rest.
    stream.on("error", () => {});
    const answered = once(stream, "response");
    stream.end(options.body);
    const [headers] = (await answered) as [Record<string, unknown>];
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    return { code: Number(headers[":status"]), headers, body: Buffer.concat(chunks) };
  } finally {
    session.destroy();
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const json = (answer: Answer) => JSON.parse(answer.body.toString());
const mapsPath = "/api/v1/namespaces/default/configmaps";

async function as(server: TestServer, commonName: string, organization: string): Promise<Connection> {
  const pair = await issueClient(server.pki.authority, Date.now(), { commonName, organizations: [organization] });
  return { ...server.connection, certificatePem: pair.certificatePem, keyPem: pair.keyPem };
}

test("serveHttps lets strangers no further than the health checks", async () => {
  await using server = await openTestServer();
  const { certificatePem: _c, keyPem: _k, ...stranger } = server.connection;
  const codes = async (connection: Connection) =>
    Promise.all(
      ["/healthz", "/version", "/api", "/metrics", mapsPath, "/naru/v1/tokens"].map(
        async (path) => (await ask(connection, path)).code,
      ),
    );
  assert.deepEqual(await codes(stranger), [200, 200, 401, 401, 401, 401]);
  assert.deepEqual(await codes(await as(server, "prometheus", "naru:monitoring")), [200, 200, 200, 200, 403, 403]);
  assert.deepEqual(await codes(server.connection), [200, 200, 200, 200, 200, 404]);
  const refused = json(await ask(await as(server, "eve", "nobody"), mapsPath));
  assert.equal(
    refused.message,
    'configmaps is forbidden: User "eve" cannot list resource "configmaps" in API group "" in the namespace "default"',
  );
});

test("serveHttps takes YAML, bounds bodies and refuses what it cannot read", async () => {
  await using server = await openTestServer();
  const post = (type: string, body: string | Buffer) =>
    ask(server.connection, mapsPath, { method: "POST", headers: { "content-type": type }, body });
  const yaml = await post("application/yaml", "metadata: {name: y}\ndata: {a: b}\n");
  const broken = await post("application/yaml", "metadata: {name: y\n");
  const large = await post("application/json", Buffer.alloc(3 * 1024 * 1024 + 1, 0x20));
  const cbor = await post("application/json", "{");
  assert.deepEqual([yaml.code, json(yaml).data, broken.code, large.code, cbor.code], [201, { a: "b" }, 400, 413, 400]);
  assert.match(json(broken).message, /not YAML: .* at line \d+, column \d+/s);
});

test("serveHttps warns of unknown fields, and refuses them when asked to be strict", async () => {
  await using server = await openTestServer();
  const post = (validation: string) =>
    ask(server.connection, `${mapsPath}?fieldValidation=${validation}&dryRun=All`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"metadata":{"name":"a"},"dada":1,"data":{"x":"1","x":"2"}}',
    });
  const [warned, strict, ignored] = [await post("Warn"), await post("Strict"), await post("Ignore")];
  assert.deepEqual(
    [
      warned.code,
      warned.headers["warning"],
      strict.code,
      json(strict).message,
      ignored.code,
      ignored.headers["warning"],
    ],
    [
      201,
      '299 - "duplicate field \\"data.x\\"", 299 - "unknown field \\"dada\\""',
      400,
      'strict decoding error: duplicate field "data.x"',
      201,
      undefined,
    ],
  );
  assert.equal((await ask(server.connection, `${mapsPath}/a`)).code, 404);
});

test("serveHttps answers in the view that was asked for", async () => {
  await using server = await openTestServer();
  using client = httpClient({ connection: server.connection });
  await client.create(configmaps, {
    metadata: { name: "a", namespace: "default" },
    data: { big: "x".repeat(200_000) },
  });
  const get = (accept: string, more = {}) => ask(server.connection, mapsPath, { headers: { accept, ...more } });
  const table = json(await get("application/json;as=Table;v=v1;g=meta.k8s.io"));
  const partial = json(await get("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"));
  const proto = await get("application/vnd.kubernetes.protobuf");
  const packed = await get("application/vnd.kubernetes.protobuf,application/json", { "accept-encoding": "gzip" });
  assert.deepEqual(
    [
      table.kind,
      table.rows.length,
      partial.kind,
      partial.items[0].data,
      proto.code,
      packed.headers["content-encoding"],
    ],
    ["Table", 1, "PartialObjectMetadataList", undefined, 406, "gzip"],
  );
  assert.equal(JSON.parse(gunzipSync(packed.body).toString()).items[0].metadata.name, "a");
  const discovery = await ask(server.connection, "/apis", {
    headers: { accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json" },
  });
  assert.deepEqual(
    [json(discovery).kind, json(discovery).apiVersion],
    ["APIGroupDiscoveryList", "apidiscovery.k8s.io/v2"],
  );
});

test("serveHttps streams the present state with its end, and ends with a bookmark", async () => {
  await using server = await openTestServer();
  using client = httpClient({ connection: server.connection });
  using transport = httpsTransport(server.connection);
  const made = await client.create(configmaps, { metadata: { name: "a", namespace: "default" } });
  const query =
    "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1";
  const response = await transport.stream({ method: "GET", path: `${mapsPath}?${query}` });
  const events: string[] = [];
  for await (const line of lines(response)) {
    const { type, object } = JSON.parse(line);
    events.push([type, object.metadata.name, object.metadata.annotations?.["k8s.io/initial-events-end"]].join(" "));
  }
  assert.deepEqual(events, ["ADDED a ", "BOOKMARK  true", "BOOKMARK  "]);
  assert.ok(made.metadata?.resourceVersion !== undefined);
});

test("serveHttps tells of each check of its health who asks for it", async () => {
  await using server = await openTestServer();
  const said = async (path: string) => {
    const { code, body } = await ask(server.connection, path);
    return [code, code === 200 ? body.toString() : json({ code, body, headers: {} }).reason];
  };
  assert.deepEqual(
    await Promise.all(["/readyz?verbose", "/livez?verbose", "/readyz/shutdown", "/readyz/x"].map(said)),
    [
      [200, "[+]ping ok\n[+]shutdown ok\nreadyz check passed\n"],
      [200, "[+]ping ok\nlivez check passed\n"],
      [200, "ok"],
      [404, "NotFound"],
    ],
  );
});

test("serveHttps answers administrators in the name of others, and them alone", async () => {
  await using server = await openTestServer();
  const review = async (connection: Connection, what: string, headers: Record<string, string>) => {
    const group = what === "selfsubjectreviews" ? "authentication" : "authorization";
    const answer = await ask(connection, `/apis/${group}.k8s.io/v1/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ spec: { namespace: "default" } }),
    });
    return answer.code === 201 ? json(answer).status : json(answer).message;
  };
  const asProbe = { "impersonate-user": "probe", "impersonate-group": "naru:monitoring" };
  const eve = await as(server, "eve", "nobody");
  assert.deepEqual(
    [
      await review(server.connection, "selfsubjectreviews", asProbe),
      (await ask(server.connection, mapsPath, { headers: asProbe })).code,
      await review(eve, "selfsubjectreviews", asProbe),
      await review(eve, "selfsubjectrulesreviews", {}),
    ],
    [
      { userInfo: { username: "probe", groups: ["naru:monitoring", "system:authenticated"] } },
      403,
      'users "probe" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope',
      {
        resourceRules: [
          {
            verbs: ["create"],
            apiGroups: ["authorization.k8s.io"],
            resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
          },
          { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
        ],
        nonResourceRules: [
          {
            verbs: ["get"],
            nonResourceURLs: [
              "/healthz",
              "/healthz/*",
              "/livez",
              "/livez/*",
              "/readyz",
              "/readyz/*",
              "/version",
              "/version/",
            ],
          },
          { verbs: ["get"], nonResourceURLs: ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"] },
        ],
        incomplete: false,
      },
    ],
  );
});

test("serveHttps tells a watcher that comes too late to list again", async () => {
  await using server = await openTestServer({ cacheLimits: { windowEventsMax: 4 } });
  using client = httpClient({ connection: server.connection });
  const { resourceVersion } = await client.list(configmaps);
  for (let i = 0; i < 20; i++) await client.create(configmaps, { metadata: { name: `m${i}`, namespace: "default" } });
  using transport = httpsTransport(server.connection);
  const response = await transport.stream({
    method: "GET",
    path: `${mapsPath}?watch=1&resourceVersion=${resourceVersion}`,
  });
  const [first] = await all(lines(response));
  const { type, object } = JSON.parse(first ?? "{}");
  assert.deepEqual([type, object.kind, object.code, object.reason], ["ERROR", "Status", 410, "Expired"]);
});

test("joinCluster brings a machine a certificate for its name, and only with a good token", async () => {
  await using server = await openTestServer();
  using transport = httpsTransport(server.connection);
  const { token } = (await transport.json({ method: "POST", path: "/naru/v1/tokens", body: { ttlSeconds: 60 } })) as {
    readonly token: string;
  };
  const join = (token: string) => joinCluster({ server: server.url, token, node: "n1" });
  const identity = await join(token);
  const node = { ...server.connection, certificatePem: identity.certificatePem, keyPem: identity.keyPem };
  const review = json(
    await ask(node, "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    }),
  );
  assert.deepEqual(review.status.userInfo, {
    username: "system:node:n1",
    groups: ["system:nodes", "system:authenticated"],
  });
  assert.equal((await ask(node, mapsPath)).code, 403);
  const renewed = await renewIdentity(server.url, "n1", identity);
  assert.notEqual(renewed.certificatePem, identity.certificatePem);
  await assert.rejects(join(`${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`), { code: 401 });
  await assert.rejects(join(token.replace(/naru1\.\w{4}/, "naru1.0000")), /is not the one that made this token/);
  const { token: short } = (await transport.json({
    method: "POST",
    path: "/naru/v1/tokens",
    body: { ttlSeconds: 0.001 },
  })) as {
    readonly token: string;
  };
  await assert.rejects(join(short), { code: 401 });
});

interface Opened {
  readonly node: string;
  readonly request: NodeRequest;
}

/** A broker that answers every stream with the given frames and remembers what was asked. */
function fakeBroker(
  frames: readonly Frame[],
): StreamBroker & { readonly opened: Opened[]; readonly upgrades: StreamUpgrade[] } {
  const opened: Opened[] = [];
  const upgrades: StreamUpgrade[] = [];
  return {
    opened,
    upgrades,
    open: async (node, request) => {
      opened.push({ node, request });
      return {
        frames: (async function* () {
          yield* frames;
        })(),
        send: async () => {},
        [Symbol.asyncDispose]: async () => {},
      };
    },
    upgrade: async (upgrade) => {
      upgrades.push(upgrade);
      upgrade.socket.end("HTTP/1.1 101 Switching Protocols\r\nupgrade: SPDY/3.1\r\nconnection: upgrade\r\n\r\nhello");
    },
  };
}

const out = (text: string) => create(FrameSchema, { content: { case: "stdout", value: Buffer.from(text) } });
const exit = (error = "") => create(FrameSchema, { content: { case: "exit", value: { exitCode: 0, error } } });

async function withPod(broker: StreamBroker, run: (server: TestServer) => Promise<void>): Promise<void> {
  await using server = await openTestServer({ broker });
  using client = httpClient({ connection: server.connection });
  const pod = { metadata: { name: "p", namespace: "default" }, spec: { containers: [{ name: "c", image: "i" }] } };
  const made = await client.create(pods, pod);
  await client.bind([{ namespace: "default", name: "p", uid: made.metadata?.uid ?? "", node: "n1" }]);
  await run(server);
}

test("serveHttps sends a pod's log as its node gives it", async () => {
  const broker = fakeBroker([out("one\n"), out("two\n"), exit()]);
  await withPod(broker, async (server) => {
    const path = `${pathOf(pods, { namespace: "default", name: "p" })}/log`;
    const log = await ask(server.connection, `${path}?tailLines=5&follow=true`);
    const { node, request } = broker.opened[0] ?? {};
    assert.deepEqual([log.code, log.body.toString(), node, request?.case], [200, "one\ntwo\n", "n1", "log"]);
    assert.deepEqual(
      request?.case === "log" && [request.value.container, request.value.follow, request.value.tailLines],
      ["c", true, 5n],
    );
    const wrong = json(await ask(server.connection, `${path}?container=x`));
    assert.deepEqual([wrong.code, wrong.message], [400, "container x is not valid for pod p"]);
  });
});

test("serveHttps tells what the node refuses before it answers", async () => {
  const broker = fakeBroker([exit('container "c" in pod "p" is waiting to start: ContainerCreating')]);
  await withPod(broker, async (server) => {
    const log = await ask(server.connection, `${pathOf(pods, { namespace: "default", name: "p" })}/log`);
    assert.deepEqual(
      [log.code, json(log).message],
      [400, 'container "c" in pod "p" is waiting to start: ContainerCreating'],
    );
  });
});

test("serveHttps hands exec over with its connection, to those who may", async () => {
  const broker = fakeBroker([]);
  await withPod(broker, async (server) => {
    const path = `${pathOf(pods, { namespace: "default", name: "p" })}/exec?command=sh&command=-c&stdin=true`;
    const answer = await upgrade(server.connection, path);
    assert.match(answer, /^HTTP\/1\.1 101 .*hello$/s);
    const { subresource, node, container, query } = broker.upgrades[0] ?? {};
    assert.deepEqual([subresource, node, container, query?.getAll("command")], ["exec", "n1", "c", ["sh", "-c"]]);
    assert.match(
      await upgrade(await as(server, "eve", "nobody"), path),
      /^HTTP\/1\.1 403 .*cannot create resource \\"pods\/exec\\"/s,
    );
    assert.match(
      await upgrade(server.connection, path.replace("/p/", "/q/")),
      /^HTTP\/1\.1 404 .*pods \\"q\\" not found/s,
    );
  });
});

async function upgrade(connection: Connection, path: string): Promise<string> {
  const { hostname, port } = new URL(connection.server);
  const socket: Duplex = connectTls({ host: hostname, port: Number(port), ...tlsOptions(connection) });
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\ncontent-length: 0\r\n\r\n`,
  );
  const chunks = await all(socket as AsyncIterable<Buffer>);
  return Buffer.concat(chunks).toString();
}

test("serveHttps relays image work as JSON lines", async () => {
  const broker = fakeBroker([out('{"reference":"a"}\n'), exit("no space left")]);
  await withPod(broker, async (server) => {
    const list = await ask(server.connection, "/naru/v1/nodes/n1/images");
    assert.deepEqual([list.code, list.body.toString()], [200, '{"reference":"a"}\n{"error":"no space left"}\n']);
    const pull = await ask(server.connection, "/naru/v1/nodes/n1/images?reference=a", { method: "POST" });
    assert.deepEqual(
      [pull.code, broker.opened.map(({ request }) => request.case === "image" && request.value.action)],
      [200, [1, 2]],
    );
  });
});

test("serveHttps counts its requests", async () => {
  await using server = await openTestServer();
  await ask(server.connection, mapsPath);
  const text = (await ask(server.connection, "/metrics")).body.toString();
  assert.match(
    text,
    /apiserver_request_total\{verb="LIST",group="",version="v1",resource="configmaps",subresource="",scope="namespace",code="200"\} 1/,
  );
  assert.match(text, /apiserver_storage_objects\{resource="namespaces"\} 5/);
});

test("serveHttps makes no label of what a stranger puts into a path", async () => {
  await using server = await openTestServer();
  const { certificatePem: _c, keyPem: _k, ...stranger } = server.connection;
  const paths = ["a/made-up", "a/status/made-up", "a/made/up"].map((rest) => `${mapsPath}/${rest}`);
  const codes = await Promise.all(paths.map(async (path) => (await ask(stranger, path)).code));
  const text = (await ask(server.connection, "/metrics")).body.toString();
  assert.deepEqual([codes, text.match(/made/g)], [[404, 404, 404], null]);
});
