// What `npm start` shows: the hello service from charts/hello, its image made from this repository and put on every node.
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { nodes, services } from "../../api/kinds/generated/resources.ts";
import type { Node, Service } from "../../api/kinds/generated/types.ts";
import { buildHelloImage } from "../../charts/hello/image/build.ts";
import { applyManifest } from "../apply.ts";
import type { Connection } from "../connection.ts";
import { linesOf } from "../images/ask-node.ts";
import { transfer } from "../images/transfer.ts";
import { readManifests } from "../manifests.ts";
import { pathOf } from "../resources.ts";
import { waitForRollout } from "../rollout-wait.ts";

const chart = new URL("../../charts/hello/hello.yaml", import.meta.url).pathname;
const image = "naru.local/hello:1";

export interface Demo {
  readonly url: string;
}

export async function startDemo(
  connection: Connection,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Demo> {
  const { items } = await connection.send<{ items: Node[] }>("GET", pathOf(nodes, undefined));
  const lacking = items.filter(({ status }) => !(status?.images ?? []).some(({ names = [] }) => names.includes(image)));
  if (lacking.length > 0) {
    say(`making the hello image and putting it on ${lacking.length} nodes`);
    const archive = await buildHelloImage();
    await Promise.all(
      lacking.map(async ({ metadata }) => {
        const stream = new PassThrough();
        await Promise.all([
          pipeline([archive], stream),
          transfer(metadata?.name ?? "", linesOf(connection, "PUT", metadata?.name ?? "", {}, stream), {
            done: () => "imported",
            quiet: true,
          }),
        ]);
      }),
    );
  }
  say("applying charts/hello");
  for (const manifest of readManifests([chart]))
    await applyManifest(connection, manifest, {
      namespace: "default",
      query: { fieldManager: "naru", force: "true" },
      signal,
    });
  await waitForRollout(connection, { name: "hello", namespace: "default" }, { signal, timeoutMs: 60_000, quiet: true });
  const service = await connection.send<Service>("GET", pathOf(services, "default", "hello"));
  const address = items
    .flatMap(({ status }) => status?.addresses ?? [])
    .find(({ type }) => type === "InternalIP")?.address;
  const url = `http://${address}:${service.spec?.ports?.[0]?.nodePort}/`;
  await untilAnswers(url, signal);
  return { url };
}

// The rules for the new addresses reach the nodes a moment after the pods are Ready.
async function untilAnswers(url: string, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(30_000)]);
  for (;;) {
    try {
      const answer = await fetch(url, { signal: AbortSignal.any([limit, AbortSignal.timeout(1000)]) });
      if (answer.ok) return;
    } catch (error) {
      if (limit.aborted) throw new Error(`${url} does not answer`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
