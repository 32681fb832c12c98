// Images from a real registry, with and without a password, and what the pod says when there are none.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort, pushImage, startRegistry, type TestRegistry } from "../registry.ts";
import { startCluster, type TestCluster } from "./cluster.ts";
import { pod } from "./manifests.ts";
import { probeImage } from "./probe-image.ts";
import { done, podsOf, until, untilReady } from "./questions.ts";

const subnet = `10.${200 + (process.pid % 50)}.${process.pid % 250}`;
const address = `${subnet}.1`;
// On the nodes' own network, which exists once the cluster does: ports are chosen first, so that `naru up` can be told.
let cluster: TestCluster;
let open: TestRegistry;

before(async () => {
  const port = await freePort();
  cluster = await startCluster({
    nodes: 2,
    args: ["--subnet", `${subnet}.0/24`, "--insecure-registry", `${address}:${port}`],
  });
  open = await startRegistry({ address, port });
  const image = await probeImage();
  await pushImage(open, "team/probe", { image, tag: "1" });
});
after(async () => {
  await open?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const apply = async (input: string) => done(await cluster.naru(["apply", "-f", "-"], { input }));

test("a pod runs an image of the registry", async () => {
  await apply(pod({ name: "pulled", args: ["sleep", "1000"], image: `${open.host}/team/probe:1` }));
  await untilReady(cluster, "app=pulled", { count: 1 });
});

for (const [what, reference] of [
  ["missing", "team/none:1"],
  ["tagless", "team/probe:none"],
  ["digest", `team/probe@sha256:${"0".repeat(64)}`],
] as const) {
  test(`a pod with an image that is not there (${what}) says so in status and Event`, async () => {
    await apply(pod({ name: what, args: ["sleep", "1000"], image: `${open.host}/${reference}` }));
    const waiting = await until("the reason", async () => {
      const state = (await podsOf(cluster, `app=${what}`))[0]?.status?.containerStatuses?.[0]?.state;
      return /^(ErrImagePull|ImagePullBackOff)$/.test(state?.waiting?.reason ?? "") ? state?.waiting : undefined;
    });
    assert.ok(waiting.message?.includes(reference.split(/[:@]/)[0] ?? reference), waiting.message);
    await until("the Event", async () =>
      /Failed/.test(done(await cluster.naru(["describe", "pod", what]))) ? true : undefined,
    );
  });
}
