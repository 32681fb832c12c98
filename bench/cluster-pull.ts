// How often a registry outside is asked for an image that three nodes want at once: fetches of its manifest, config and layers for each of them.
import { randomBytes } from "node:crypto";
import { startCluster } from "../test/e2e/cluster.ts";
import { pod } from "../test/e2e/manifests.ts";
import { probeImage } from "../test/e2e/probe-image.ts";
import { done, untilReady } from "../test/e2e/questions.ts";
import { startHeardRegistry } from "../test/heard-registry.ts";
import { freePort, gzipLayer, makeImage, makeTar, pushImage } from "../test/registry.ts";
import { type Result, summarize } from "./result.ts";

const ballastBytes = 24 << 20;

/** cluster-pull, in pulls. Needs root. */
export async function benchClusterPull(): Promise<readonly Result[]> {
  const subnet = `10.${200 + (process.pid % 50)}.${(process.pid + 29) % 250}`;
  const [host, port] = [`${subnet}.1`, await freePort()];
  const args = ["--subnet", `${subnet}.0/24`, "--insecure-registry", `${host}:${port}`];
  await using cluster = await startCluster({ nodes: 3, args });
  await using outside = await startHeardRegistry(host, port);
  const [program] = (await probeImage()).layers;
  if (program === undefined) throw new Error("the probe's image has no layer");
  // Large enough that the others come while it is still on its way.
  const ballast = gzipLayer(await makeTar([{ name: "ballast", content: randomBytes(ballastBytes) }]));
  const image = makeImage([program, ballast], { config: { Entrypoint: ["/probe"] } });
  await pushImage(outside.registry, "team/app", { image, tag: "1" });
  const reference = `${host}:${port}/team/app:1`;
  const names = cluster.nodes.map(({ name }) => ({ name: `pull-${name}`, node: name }));
  const pods = names.map(({ name, node }) =>
    pod({
      ...{ name, image: reference, args: ["sleep", "1000"] },
      spec: { nodeSelector: { "kubernetes.io/hostname": node } },
    }),
  );
  done(await cluster.naru(["apply", "-f", "-"], { input: pods.join("\n---\n") }));
  await Promise.all(names.map(({ name }) => untilReady(cluster, `app=${name}`, { count: 1 })));
  const fetched = outside.fetched();
  const parts = [...new Set(fetched)];
  return [
    summarize(
      "cluster-pull",
      "pulls",
      parts.map((part) => fetched.filter((line) => line === part).length),
    ),
  ];
}

if (import.meta.main) {
  console.table(await benchClusterPull());
  process.exit(0);
}
