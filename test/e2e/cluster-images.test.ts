// The cluster as its own registry: one node fetches for all, and what one node has every node can run, registry or not.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { readKubeconfig } from "../../client/kubeconfig.ts";
import { type HeardRegistry, startHeardRegistry } from "../heard-registry.ts";
import { freePort, gzipLayer, makeImage, makeTar, pushImage, type TestImage } from "../registry.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { pod } from "./manifests.ts";
import { archiveOf, probeImage } from "./probe-image.ts";
import { done, untilReady } from "./questions.ts";

const subnet = `10.${200 + (process.pid % 50)}.${(process.pid + 11) % 250}`;
const host = `${subnet}.1`;
let cluster: TestCluster;
let outside: HeardRegistry;
let port: number;
let image: TestImage;

before(async () => {
  port = await freePort();
  cluster = await startCluster({
    nodes: 3,
    args: ["--subnet", `${subnet}.0/24`, "--insecure-registry", `${host}:${port}`],
  });
  outside = await startHeardRegistry(host, port);
  const [program] = (await probeImage()).layers;
  assert.ok(program);
  // Large enough that the others come while it is still on its way.
  const ballast = gzipLayer(await makeTar([{ name: "ballast", content: randomBytes(24 << 20) }]));
  image = makeImage([program, ballast], { config: { Entrypoint: ["/probe"] } });
  await pushImage(outside.registry, "team/app", { image, tag: "1" });
});
after(async () => {
  await outside?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const onNode = (node: string) => ({ spec: { nodeSelector: { "kubernetes.io/hostname": node } } });

async function runOnEach(
  prefix: string,
  reference: string,
  container: object = {},
): Promise<readonly (Pod | undefined)[]> {
  const names = cluster.nodes.map(({ name }) => ({ name: `${prefix}-${name}`, node: name }));
  const input = names
    .map(({ name, node }) => pod({ name, image: reference, args: ["sleep", "1000"], container, ...onNode(node) }))
    .join("\n---\n");
  done(await cluster.naru(["apply", "-f", "-"], { input }));
  return await Promise.all(names.map(async ({ name }) => (await untilReady(cluster, `app=${name}`, { count: 1 }))[0]));
}

test("three nodes that want an image at once make one pull from outside", async () => {
  const pods = await runOnEach("outside", `${host}:${port}/team/app:1`);
  const fetched = outside.fetched();
  assert.deepEqual([fetched.length, new Set(fetched).size], [4, 4], "manifest, config and two layers, each once");
  const ids = new Set(pods.map((one) => one?.status?.containerStatuses?.[0]?.imageID));
  assert.equal(ids.size, 1, "the same digest on every node");
});

test("what was loaded on one node runs on every node", async () => {
  const path = join(cluster.place.dataDir, "loaded.tar");
  writeFileSync(path, await archiveOf(image, ["naru.local/loaded:1", "docker.io/library/loaded:1"]));
  done(await cluster.naru(["image", "import", path, "--node", "node-2"]));
  await runOnEach("loaded", "naru.local/loaded:1");
});

test("an image of a registry that is gone still runs where it never was", async () => {
  done(await cluster.naru(["image", "rm", `${host}:${port}/team/app:1`, "--node", "node-3"]).catch((error) => error));
  await outside.close();
  await runOnEach("orphan", `${host}:${port}/team/app:1`, { imagePullPolicy: "Always" });
});

test("an image that nobody has is refused in words", async () => {
  done(
    await cluster.naru(["apply", "-f", "-"], { input: pod({ name: "none", image: "naru.local/none:1", args: [] }) }),
  );
  for (;;) {
    const { stdout } = await cluster.naru(["describe", "pod/none"]);
    if (stdout.includes("no node of the cluster has naru.local/none:1: build, load or push it first")) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
});

test("a node gives images to nodes alone", async () => {
  const { certificatePem: cert, keyPem: key, authorityPem: ca } = await readKubeconfig(cluster.kubeconfig);
  const [node] = cluster.nodes;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const asked = { host: node?.address, port: 10250, path: "/images-here/naru.local/v2/loaded/manifests/1" };
    get({ ...asked, cert, key, ca, servername: "naru-agent" }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
  });
  assert.equal(status, 403);
});
