// A node short of memory as a user sees it: the pod that took it is evicted and says why, the node says so too and is left alone, and the
// pod's successor runs on another node.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Event, Node, Pod } from "../../api/kinds/generated/types.ts";
import { naruPath, runProgram } from "./cluster.ts";
import { openMachines } from "./machines.ts";
import { archiveOf } from "./probe-image.ts";
import { done, until } from "./questions.ts";
import { shellImage } from "./shell-image.ts";

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "hog" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "hog" } },
    template: {
      metadata: { labels: { app: "hog" } },
      spec: {
        containers: [
          {
            name: "main",
            image: "naru.local/shell:1",
            imagePullPolicy: "Never",
            // What has no line ends stays in its memory until there is no more to come.
            command: ["sh", "-c", "(head -c 230000000 /dev/zero; sleep 1000) | tail"],
          },
        ],
      },
    },
  },
};

test("a pod that takes a node's memory is evicted, and its successor runs elsewhere", async () => {
  await using machines = await openMachines(["one", "two"]);
  const { place, list } = machines;
  const [one, two] = list;
  assert.ok(one !== undefined && two !== undefined);
  const dataDir = join(place.dataDir, "server");
  const env = { ...process.env, KUBECONFIG: join(dataDir, "kubeconfig") };
  const naru = async (...args: readonly string[]) => done(await runProgram(naruPath, args, { env }));
  const listOf = async <T>(kind: string) => (JSON.parse(await naru("get", kind, "-o", "json")) as { items: T[] }).items;
  const untilReady = (count: number) =>
    until(`${count} nodes`, async () =>
      (await naru("get", "nodes")).match(/ Ready /g)?.length === count ? true : undefined,
    );
  const importShell = async () => {
    const path = join(place.dataDir, "shell.tar");
    writeFileSync(path, await archiveOf(await shellImage(), ["naru.local/shell:1"]));
    await naru("image", "import", path);
  };

  one.start(naruPath, ["server", "--advertise", one.address, "--data", dataDir]);
  const url = `https://${one.address}:6443`;
  const token = (await until("a token", () => naru("token"))).trim();
  one.join(url, token, ["--memory", "300Mi", "--eviction-hard", "memory.available<100Mi"]);
  await untilReady(1);
  await importShell();
  writeFileSync(join(place.dataDir, "hog.json"), JSON.stringify(deployment));
  await naru("apply", "-f", join(place.dataDir, "hog.json"));

  const evicted = await until("an eviction", async () =>
    (await listOf<Pod>("pods")).find(({ status }) => status?.message?.startsWith("The node was low") === true),
  );
  const node = await until("a taint", async () =>
    (await listOf<Node>("nodes")).find(({ spec }) => (spec?.taints ?? []).length > 0),
  );
  const events = (await listOf<Event>("events")).filter(
    ({ reason, involvedObject }) => reason === "Evicted" && involvedObject.name === evicted.metadata?.name,
  );
  two.join(url, token);
  await untilReady(2);
  await importShell();
  const successor = await until("a successor", async () =>
    (await listOf<Pod>("pods")).find(({ status }) => status?.phase === "Running"),
  );

  const { name, nodeName, status } = { name: evicted.metadata?.name, nodeName: evicted.spec?.nodeName, ...evicted };
  assert.deepEqual(
    {
      where: nodeName,
      phase: status?.phase,
      message: status?.message?.replaceAll(/\d+Ki/g, "N"),
      told: events.map(({ involvedObject, message }) => [involvedObject.name, message === status?.message]),
      offers: [node.status?.capacity?.["memory"], node.status?.allocatable?.["memory"]],
      short: node.status?.conditions?.find(({ type }) => type === "MemoryPressure")?.message,
      taints: node.spec?.taints,
      successor: successor.spec?.nodeName,
    },
    {
      where: "one",
      phase: "Failed",
      message:
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: N. " +
        "Container main was using N, request is 0, has larger consumption of memory. ",
      told: [[name, true]],
      offers: ["300Mi", "200Mi"],
      short: "kubelet has insufficient memory available: memory.available is below 100Mi",
      taints: [{ key: "node.kubernetes.io/memory-pressure", effect: "NoSchedule" }],
      successor: "two",
    },
  );
});
