// The cluster as a registry for everybody's tools: pushed by skopeo, by docker and by hand to any node or to the Service, run everywhere.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { type RequestOptions, request } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { services } from "../../api/kinds/generated/resources.ts";
import { readKubeconfig } from "../../client/kubeconfig.ts";
import { gzipLayer, makeImage, makeIndex, makeTar, type TestImage } from "../registry.ts";
import { debianTree } from "../tools.ts";
import { runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { provideDocker } from "./docker-engine.ts";
import { pod } from "./manifests.ts";
import { archiveOf, probeImage } from "./probe-image.ts";
import { done, until, untilReady } from "./questions.ts";
import { processesOf } from "./remains.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface Asked {
  readonly node?: number;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly certificate?: boolean;
}

let cluster: TestCluster;
let authority: { readonly ca: string; readonly cert: string; readonly key: string };
let token: string;
let skopeo: (args: readonly string[], within?: readonly string[]) => ReturnType<typeof runProgram>;

before(async () => {
  cluster = await startCluster({ nodes: 3 });
  const { certificatePem = "", keyPem = "", authorityPem = "" } = await readKubeconfig(cluster.kubeconfig);
  authority = { ca: authorityPem, cert: certificatePem, key: keyPem };
  token = done(await cluster.kubectl("new", ["create", "token", "default", "-n", "default"])).trim();
  await provideDocker();
  const tree = await debianTree("skopeo", ["skopeo"]);
  const libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map((folder) => join(tree, folder));
  const home = join(cluster.place.dataDir, "skopeo");
  for (const folder of ["certs", "etc"]) mkdirSync(join(home, folder), { recursive: true });
  writeFileSync(join(home, "certs", "ca.crt"), authorityPem);
  writeFileSync(join(home, "policy.json"), '{"default": [{"type": "insecureAcceptAnything"}]}');
  const env = { ...process.env, HOME: home, LD_LIBRARY_PATH: libraries.join(":") };
  skopeo = (args, within = []) => {
    const general = ["--policy", join(home, "policy.json"), "--tmpdir", home];
    const [program = "", ...words] = [...within, join(tree, "usr/bin/skopeo"), ...general, ...args];
    return runProgram(program, words, { env });
  };
});
after(() => cluster?.[Symbol.asyncDispose]());

const addressOf = (node: number) => cluster.nodes[node]?.address ?? "";
const certs = () => join(cluster.place.dataDir, "skopeo", "certs");
const digestOf = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const basic = (password: string) => `Basic ${Buffer.from(`anybody:${password}`).toString("base64")}`;

/** As the administrator, by certificate, unless said otherwise. */
function ask(path: string, { node = 0, method = "GET", headers = {}, body, certificate = true }: Asked = {}) {
  const { ca, cert, key } = authority;
  const options: RequestOptions = {
    ...{ host: addressOf(node), port: 5000, path, method, headers, ca, servername: "registry.naru-system.svc" },
    ...(certificate ? { cert, key } : {}),
  };
  return new Promise<Answer>((resolve, reject) => {
    const sent = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function pushBlob(repository: string, blob: Buffer, node = 0): Promise<Answer> {
  const { headers } = await ask(`/v2/${repository}/blobs/uploads/`, { node, method: "POST" });
  return await ask(`${headers.location}?digest=${digestOf(blob)}`, { node, method: "PUT", body: blob });
}

async function pushByHand(repository: string, { image, name }: { image: TestImage; name: string }): Promise<Answer> {
  for (const blob of [image.config, ...image.layers.map((layer) => layer.blob)]) await pushBlob(repository, blob);
  const headers = { "content-type": image.mediaType };
  return await ask(`/v2/${repository}/manifests/${name}`, { method: "PUT", headers, body: image.manifest });
}

async function runOnEach(prefix: string, image: string): Promise<void> {
  const input = cluster.nodes
    .map(({ name }) => ({ name: `${prefix}-${name}`, spec: { nodeSelector: { "kubernetes.io/hostname": name } } }))
    .map(({ name, spec }) => pod({ name, image, args: ["sleep", "1000"], spec }))
    .join("\n---\n");
  done(await cluster.naru(["apply", "-f", "-"], { input }));
  for (const { name } of cluster.nodes) await untilReady(cluster, `app=${prefix}-${name}`, { count: 1 });
}

const codeOf = ({ status, text }: Answer) => [status, JSON.parse(text).errors[0].code];

test("nobody comes in without a certificate or a token of the cluster", async () => {
  const wrong = { authorization: basic("naru.naru.naru") };
  const right = { authorization: basic(token) };
  const bearer = { authorization: `Bearer ${token}` };
  const statuses = [];
  for (const headers of [{}, wrong, right, bearer])
    statuses.push((await ask("/v2/", { headers, certificate: false })).status);
  assert.deepEqual([...statuses, (await ask("/v2/")).status], [401, 401, 200, 200, 200]);
  const { headers } = await ask("/v2/", { certificate: false });
  assert.equal(headers["www-authenticate"], 'Basic realm="naru"');
});

test("a service account pushes below its namespace's name and nowhere else", async () => {
  const as = { method: "POST", headers: { authorization: `Bearer ${token}` }, certificate: false };
  const own = await ask("/v2/default/app/blobs/uploads/", as);
  const other = await ask("/v2/shop/app/blobs/uploads/", as);
  const top = await ask("/v2/default/blobs/uploads/", as);
  assert.deepEqual([own.status, codeOf(other), codeOf(top)], [202, [403, "DENIED"], [403, "DENIED"]]);
});

test("what skopeo pushes with a token runs on every node, and comes back the same", async () => {
  const archive = join(cluster.place.dataDir, "probe.tar");
  writeFileSync(archive, await archiveOf(await probeImage(), ["probe:1"]));
  const target = `docker://${addressOf(1)}:5000/default/probe:1`;
  done(
    await skopeo([
      ...["copy", "--dest-cert-dir", certs(), "--dest-creds", `any:${token}`],
      ...[`oci-archive:${archive}`, target],
    ]),
  );
  await runOnEach("skopeo", "registry.naru-system.svc:5000/default/probe:1");
  const inspect = async (node: number) =>
    JSON.parse(
      done(
        await skopeo([
          ...["inspect", "--cert-dir", certs(), "--creds", `any:${token}`],
          `docker://${addressOf(node)}:5000/default/probe:1`,
        ]),
      ),
    );
  const seen = [await inspect(0), await inspect(1), await inspect(2)];
  assert.equal(new Set(seen.map(({ Digest }) => Digest)).size, 1);
  assert.deepEqual(seen[0].RepoTags, ["1"]);
  const layout = join(cluster.place.dataDir, "back");
  const source = `docker://${addressOf(2)}:5000/default/probe:1`;
  done(await skopeo(["copy", "--src-cert-dir", certs(), "--src-creds", `any:${token}`, source, `oci:${layout}`]));
  assert.ok(existsSync(join(layout, "index.json")));
});

test("docker push to the Service's name brings an image home to the cluster", async () => {
  const place = cluster.place.dataDir;
  const env = {
    ...{ PATH: process.env["PATH"], HOME: place, DOCKER_CONFIG: place },
    DOCKER_HOST: `unix://${join(cluster.place.runDir, "node-3", "docker.sock")}`,
  };
  const docker = async (...args: readonly string[]) => done(await runProgram("docker", args, { env }));
  const archive = join(place, "docker.tar");
  writeFileSync(archive, await archiveOf(await probeImage(), ["docker.io/library/probe:1"]));
  await docker("load", "-i", archive);
  await docker("tag", "probe:1", "registry.naru-system.svc:5000/docker/probe:1");
  assert.match(await docker("push", "registry.naru-system.svc:5000/docker/probe:1"), /digest: sha256:/);
  const { repositories } = JSON.parse((await ask("/v2/_catalog")).text);
  assert.ok(repositories.includes("docker/probe"));
  await docker("rmi", "registry.naru-system.svc:5000/docker/probe:1");
  assert.equal((await ask("/v2/docker/probe/manifests/1")).status, 200);
});

test("the Service takes pushes as every node does", async () => {
  const service = await cluster.client.get(services, { namespace: "naru-system", name: "registry" });
  const slices = await until("endpoints", async () => {
    const { stdout } = await cluster.naru(["get", "endpointslices", "-n", "naru-system"]);
    return cluster.nodes.every(({ address }) => stdout.includes(address)) ? stdout : undefined;
  });
  assert.match(slices, /registry-ipv4/);
  const [pid] = processesOf(cluster.place, "node-2");
  const target = `docker://${service.spec?.clusterIP}:5000/default/service:1`;
  const args = ["copy", "--dest-tls-verify=false", "--dest-creds", `any:${token}`];
  const source = `oci-archive:${join(cluster.place.dataDir, "probe.tar")}`;
  done(await skopeo([...args, source, target], ["nsenter", "--net", "--target", `${pid}`]));
  await runOnEach("service", "naru.local/default/service:1");
});

test("an index of two platforms keeps both and runs ours", async () => {
  const [program] = (await probeImage()).layers;
  assert.ok(program);
  const own = makeImage([program], { config: { Entrypoint: ["/probe"] } });
  const foreign = makeImage([gzipLayer(await makeTar([{ name: "s390x", content: "-" }]))], { architecture: "s390x" });
  const repository = "team/multi";
  for (const image of [own, foreign]) {
    const { status } = await pushByHand(repository, { image, name: digestOf(image.manifest) });
    assert.equal(status, 201);
  }
  const index = makeIndex([
    { image: foreign, architecture: "s390x" },
    { image: own, architecture: process.arch === "x64" ? "amd64" : process.arch },
  ]);
  const headers = { "content-type": "application/vnd.oci.image.index.v1+json" };
  const put = await ask(`/v2/${repository}/manifests/1`, { method: "PUT", headers, body: index });
  assert.deepEqual([put.status, put.headers["docker-content-digest"]], [201, digestOf(index)]);
  await runOnEach("multi", "naru.local/team/multi:1");
  const got = await ask(`/v2/${repository}/manifests/1`, { node: 2 });
  assert.equal(got.text, index.toString());
  assert.equal((await ask(`/v2/${repository}/manifests/${digestOf(foreign.manifest)}`, { node: 1 })).status, 200);
});

test("what lies, lacks or overflows is refused, and nothing of it is seen", async () => {
  const image = makeImage([gzipLayer(await makeTar([{ name: "a", content: "a" }]))]);
  const headers = { "content-type": image.mediaType };
  const lacking = await ask("/v2/team/bad/manifests/1", { method: "PUT", headers, body: image.manifest });
  const { headers: started } = await ask("/v2/team/bad/blobs/uploads/", { method: "POST" });
  const wrong = await ask(`${started.location}?digest=${digestOf(Buffer.from("b"))}`, {
    ...{ method: "PUT", body: Buffer.from("c") },
  });
  const gone = await ask(`${started.location}`);
  const noDigest = await ask("/v2/team/bad/blobs/sha512:00");
  const large = await ask("/v2/team/bad/manifests/1", { method: "PUT", headers, body: randomBytes(5 << 20) }).catch(
    () => undefined,
  );
  const lie = Buffer.from(image.manifest.toString().replace(`"size":${image.config.length}`, '"size":7'));
  for (const blob of [image.config, ...image.layers.map((layer) => layer.blob)]) await pushBlob("team/bad", blob);
  const lying = await ask("/v2/team/bad/manifests/1", { method: "PUT", headers, body: lie });
  assert.deepEqual(
    [codeOf(lacking), codeOf(wrong), codeOf(gone), codeOf(noDigest), codeOf(lying)],
    [
      [404, "MANIFEST_BLOB_UNKNOWN"],
      [400, "DIGEST_INVALID"],
      [404, "BLOB_UPLOAD_UNKNOWN"],
      [400, "DIGEST_INVALID"],
      [400, "MANIFEST_INVALID"],
    ],
  );
  assert.ok(large === undefined || large.status === 413);
  assert.equal((await ask("/v2/team/bad/manifests/1")).status, 404);
});

test("an upload goes on where it was, also after a connection that broke", async () => {
  const blob = randomBytes(300_000);
  const { headers } = await ask("/v2/team/parts/blobs/uploads/", { method: "POST" });
  const location = `${headers.location}`;
  const first = await ask(location, { method: "PATCH", body: blob.subarray(0, 100_000) });
  const ahead = await ask(location, {
    ...{ method: "PATCH", headers: { "content-range": "200000-299999" }, body: blob.subarray(200_000) },
  });
  const state = await ask(location, { node: 1 });
  const last = await ask(`${location}?digest=${digestOf(blob)}`, {
    ...{ node: 2, method: "PUT", headers: { "content-range": "100000-299999" }, body: blob.subarray(100_000) },
  });
  assert.deepEqual(
    [first.headers.range, ahead.status, state.status, state.headers.range, last.status],
    ["0-99999", 416, 204, "0-99999", 201],
  );
  const part = await ask(`/v2/team/parts/blobs/${digestOf(blob)}`, { method: "HEAD", headers: { range: "bytes=5-9" } });
  assert.deepEqual([part.status, part.headers["content-length"]], [206, "5"]);
});

test("a tag means what it was given last, on whichever node", async () => {
  const digests: (string | undefined)[] = [];
  const given: string[] = [];
  const [program] = (await probeImage()).layers;
  assert.ok(program);
  for (const [word, node] of [
    ["first", "node-2"],
    ["second", "node-3"],
    ["third", "node-1"],
  ]) {
    const image = makeImage([program], { config: { Entrypoint: ["/probe"], Labels: { word } } });
    const archive = join(cluster.place.dataDir, "moved.tar");
    writeFileSync(archive, await archiveOf(image, ["naru.local/moved:1"]));
    done(await cluster.naru(["image", "import", archive, "--node", `${node}`]));
    given.push(digestOf(image.config));
    const { text } = await ask("/v2/moved/manifests/1");
    digests.push(JSON.parse(text).config.digest);
  }
  assert.deepEqual(digests, given);
});

test("a node that is killed in the middle of a push keeps nothing of it, and the push begins again", async () => {
  const blob = randomBytes(200_000);
  const { headers } = await ask("/v2/team/killed/blobs/uploads/", { method: "POST" });
  await ask(`${headers.location}`, { method: "PATCH", body: blob.subarray(0, 100_000) });
  const uploadsOf = (node: string) => readdirSync(join(cluster.place.dataDir, node, "images", "uploads"));
  const home = cluster.nodes.find(({ name }) => uploadsOf(name).length > 0)?.name ?? "";
  const other = cluster.nodes.findIndex(({ name }) => name !== home);
  cluster.killNode(home);
  cluster.reviveNode();
  await until("its uploads to be gone", () => (uploadsOf(home).length === 0 ? true : undefined));
  const again = await until("a push", async () => {
    const answer = await pushBlob("team/killed", blob, other).catch(() => undefined);
    return answer?.status === 201 ? answer : undefined;
  });
  assert.equal(again.headers["docker-content-digest"], digestOf(blob));
});

test("names are listed over all nodes, and deleted where they are", async () => {
  const { repositories } = JSON.parse((await ask("/v2/_catalog", { node: 2 })).text);
  assert.deepEqual(repositories, ["default/probe", "default/service", "docker/probe", "moved", "team/multi"]);
  const first = await ask("/v2/_catalog?n=1");
  assert.deepEqual(
    [JSON.parse(first.text).repositories, first.headers["link"]],
    [["default/probe"], '</v2/_catalog?n=1&last=default%2Fprobe>; rel="next"'],
  );
  const { headers } = await ask("/v2/team/multi/manifests/1");
  const deleted = await ask(`/v2/team/multi/manifests/${headers["docker-content-digest"]}`, { method: "DELETE" });
  assert.equal(deleted.status, 202);
});

test("what was pushed outlives its node's agent, and a push of our own goes home", async () => {
  const signature = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", artifactType: "test/signature" },
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: [],
      subject: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digestOf(Buffer.from("x")), size: 1 },
    }),
  );
  await pushBlob("team/signed", Buffer.from("{}"));
  const put = await ask(`/v2/team/signed/manifests/${digestOf(signature)}`, {
    ...{ method: "PUT", body: signature, headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" } },
  });
  assert.equal(put.headers["oci-subject"], digestOf(Buffer.from("x")));
  const archive = join(cluster.place.dataDir, "own.tar");
  writeFileSync(archive, await archiveOf(await probeImage(), ["naru.local/own/probe:1"]));
  done(await cluster.naru(["image", "import", archive, "--node", "node-2"]));
  done(await cluster.naru(["image", "push", "naru.local/own/probe:1", "--node", "node-2"]));
  for (const { name } of cluster.nodes) {
    cluster.killNode(name);
    cluster.reviveNode();
  }
  const referrers = await until("the registry again", async () => {
    const answer = await ask(`/v2/team/signed/referrers/${digestOf(Buffer.from("x"))}`).catch(() => undefined);
    return answer?.status === 200 && JSON.parse(answer.text).manifests.length > 0 ? answer : undefined;
  });
  assert.deepEqual(
    JSON.parse(referrers.text).manifests.map(({ digest }: { digest: string }) => digest),
    [digestOf(signature)],
  );
  const tags = await until("its tags", async () => {
    const answer = await ask("/v2/own/probe/tags/list");
    return answer.status === 200 ? JSON.parse(answer.text) : undefined;
  });
  assert.deepEqual(tags, { name: "own/probe", tags: ["1"] });
});
