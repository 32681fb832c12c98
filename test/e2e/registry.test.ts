// Images from a real registry: with and without a password, of one that lies, of one that is down; and what the pod says then.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { events } from "../../api/kinds/generated/resources.ts";
import {
  digestOf,
  freePort,
  gzipLayer,
  makeImage,
  makeTar,
  pushImage,
  startRegistry,
  type TestImage,
  type TestRegistry,
} from "../registry.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { pod } from "./manifests.ts";
import { probeImage } from "./probe-image.ts";
import { done, podsOf, until, untilReady } from "./questions.ts";

const subnet = `10.${200 + (process.pid % 50)}.${process.pid % 250}`;
const address = `${subnet}.1`;
// ann's "secret", as htpasswd -B writes it.
const passwords = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const asAnn = { authorization: `Basic ${Buffer.from("ann:secret").toString("base64")}` };
let cluster: TestCluster;
let image: TestImage;
let open: TestRegistry;
let locked: TestRegistry;
let latePort: number;

// They listen on the nodes' own network, which exists once the cluster does: ports are chosen first, so that `naru up` can be told.
before(async () => {
  const [openPort, lockedPort, late] = [await freePort(), await freePort(), await freePort()];
  latePort = late;
  const told = [openPort, lockedPort, late].flatMap((port) => ["--insecure-registry", `${address}:${port}`]);
  cluster = await startCluster({ nodes: 2, args: ["--subnet", `${subnet}.0/24`, ...told] });
  image = await probeImage();
  open = await startRegistry({ address, port: openPort });
  await pushImage(open, "team/probe", { image, tag: "1" });
  const file = join(cluster.place.dataDir, "htpasswd");
  writeFileSync(file, passwords);
  const auth = `auth: {htpasswd: {realm: test, path: ${file}}}`;
  locked = await startRegistry({ address, port: lockedPort, auth });
  await pushImage(locked, "private/probe", { image, tag: "1", headers: asAnn });
});
after(async () => {
  for (const registry of [open, locked]) await registry?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

test("a pod runs an image of the registry", async () => {
  await run("pulled", `${open.host}/team/probe:1`);
  const [pod] = await untilReady(cluster, "app=pulled", { count: 1 });
  const status = pod?.status?.containerStatuses?.[0];
  assert.deepEqual(
    [status?.imageID, status?.user],
    [`${open.host}/team/probe@${digestOf(image.manifest)}`, { linux: { uid: 0, gid: 0, supplementalGroups: [0] } }],
  );
});

test("naru image pulls to every node, lists and removes", async () => {
  await pushImage(open, "team/tool", { image, tag: "1" });
  const reference = `${open.host}/team/tool:1`;
  const listed = async () => {
    const lines = done(await cluster.naru(["image", "ls"])).split("\n");
    return lines.flatMap((line) => (line.includes(reference) ? [line.split(/\s+/)[0]] : []));
  };
  const pulled = await cluster.naru(["image", "pull", reference]);
  assert.equal(pulled.code, 0, pulled.stderr);
  for (const { name } of cluster.nodes) assert.match(pulled.stderr, new RegExp(`^${name}: pulled ${reference}$`, "m"));
  assert.deepEqual(await listed(), ["node-1", "node-2"]);
  done(await cluster.naru(["image", "rm", reference, "--node", "node-1"]));
  assert.deepEqual(await listed(), ["node-2"]);
  const missing = await cluster.naru(["image", "pull", `${open.host}/team/none:1`]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /node-\d: .*has no image 1 in team\/none: check name and tag/);
});

for (const [name, reference, words] of [
  ["missing", "team/none:1", /has no image 1 in team\/none: check name and tag/],
  ["tagless", "team/probe:none", /has no image none in team\/probe: check name and tag/],
  ["digest", `team/probe@sha256:${"0".repeat(64)}`, /has no image sha256:0+ in team\/probe/],
] as const) {
  test(`a pod with an image that is not there (${name}) says so in status and Event`, async () => {
    await run(name, `${open.host}/${reference}`);
    await untilRefused(name, words);
  });
}

test("a pod without credentials, or with wrong ones, says that it is denied", async () => {
  await run("denied", `${locked.host}/private/probe:1`);
  await untilRefused("denied", /without credentials is denied \(401\): .* needs other credentials/);
  await createSecret("wrong", "guess");
  await run("wrong", `${locked.host}/private/probe:1`, "wrong");
  await untilRefused("wrong", /as ann is denied \(401\)/);
});

test("a pod pulls with its imagePullSecrets", async () => {
  await createSecret("right", "secret");
  await run("allowed", `${locked.host}/private/probe:1`, "right");
  await untilReady(cluster, "app=allowed", { count: 1 });
});

test("a pod whose layer has another digest than its name says so, and runs once the registry is mended", async () => {
  const layer = gzipLayer(await makeTar([{ name: "bait", content: "as announced" }]));
  const announced = makeImage([...image.layers, layer], { config: { Entrypoint: ["/probe"] } });
  await pushImage(open, "team/liar", { image: announced, tag: "1" });
  const digest = digestOf(layer.blob);
  const blob = join(open.storage, `docker/registry/v2/blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}/data`);
  const lie = Buffer.from(layer.blob);
  lie.writeUInt8(lie.readUInt8(lie.length - 1) ^ 1, lie.length - 1);
  writeFileSync(blob, lie);
  await run("lied", `${open.host}/team/liar:1`);
  await untilRefused("lied", new RegExp(`${digest}.*has (?:digest )?${digestOf(lie)}`));
  writeFileSync(blob, layer.blob);
  await untilReady(cluster, "app=lied", { count: 1 });
});

test("a pod waits for a registry that is down, and runs when it is up", async () => {
  const host = `${address}:${latePort}`;
  await run("late", `${host}/team/probe:1`);
  await untilRefused("late", new RegExp(`registry ${host}.*connection refused`));
  await until("backoff", async () => ((await waitingOf("late"))?.reason === "ImagePullBackOff" ? true : undefined));
  await using late = await startRegistry({ address, port: latePort });
  await pushImage(late, "team/probe", { image, tag: "1" });
  await untilReady(cluster, "app=late", { count: 1 });
});

async function run(name: string, reference: string, secret?: string): Promise<void> {
  const spec = secret === undefined ? {} : { imagePullSecrets: [{ name: secret }] };
  const input = pod({ name, args: ["sleep", "1000"], image: reference, spec });
  done(await cluster.naru(["apply", "-f", "-"], { input }));
}

async function createSecret(name: string, password: string): Promise<void> {
  const login = [`--docker-server=${locked.host}`, "--docker-username=ann", `--docker-password=${password}`];
  done(await cluster.kubectl("new", ["create", "secret", "docker-registry", name, ...login]));
}

async function waitingOf(name: string): Promise<{ readonly reason?: string; readonly message?: string } | undefined> {
  return (await podsOf(cluster, `app=${name}`))[0]?.status?.containerStatuses?.[0]?.state?.waiting;
}

/** Both where a user looks: the container's status, and the pod's Events. */
async function untilRefused(name: string, words: RegExp): Promise<void> {
  const waiting = await until("the reason", async () => {
    const found = await waitingOf(name);
    return /^(ErrImagePull|ImagePullBackOff)$/.test(found?.reason ?? "") ? found : undefined;
  });
  assert.match(waiting.message ?? "", words);
  await until("the Event", async () => {
    const { items } = await cluster.client.list(events, { namespace: "default" });
    const said = items.filter(({ involvedObject, reason }) => involvedObject.name === name && reason === "Failed");
    assert.match(said.map(({ message }) => message).join("\n"), words);
    return true;
  });
}
