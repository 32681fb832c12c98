// The backup guide, typed as it stands on a running cluster: what was declared before the backup is there after the restore, and nothing else.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { deployments } from "../../api/kinds/generated/resources.ts";
import { naruPath, newPlace, runProgram, startAt } from "./cluster.ts";
import { web } from "./manifests.ts";
import { done, fetchText, importProbe, podsOf, until, untilReady } from "./questions.ts";
import { type Place, removeRemains } from "./remains.ts";
import { startWriters } from "./writers.ts";

const guide = readFileSync(new URL("../../docs/guides/backup.md", import.meta.url), "utf8");
const [backup = "", restore = ""] = [...guide.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
let place: Place;

before(async () => {
  place = await newPlace();
});
after(() => removeRemains(place));

test("a backup that was made while the cluster took writes brings back what was declared before it, and ends what came after", async () => {
  const folder = join(place.dataDir, "backups");
  mkdirSync(folder);
  const first = await startAt(place, { nodes: 2 });
  await importProbe(first);
  done(await first.naru(["apply", "-f", "-"], { input: web({ replicas: 2, nodePort: 30091 }) }));
  const uids = (await untilReady(first, "app=web", { count: 2 })).map(({ metadata }) => metadata?.uid).sort();
  const writers = startWriters(first);
  await writers.more(20);
  await type(backup, folder, first.kubeconfig);
  await writers.more(20);
  assert.deepEqual(await writers.stop(), []);
  assert.equal(statSync(join(folder, "naru.db")).mode & 0o777, 0o600);
  const later = web({ name: "later", replicas: 1, nodePort: 30092 });
  done(await first.naru(["apply", "-f", "-"], { input: later }));
  await untilReady(first, "app=later", { count: 1 });
  done(await first.naru(["scale", "deployment/web", "--replicas", "3"]));
  await untilReady(first, "app=web", { count: 3 });
  first.client[Symbol.dispose]();
  assert.equal(await first.stop("SIGTERM"), 0);
  await type(restore, folder);
  await using cluster = await startAt(place, { nodes: 2 });
  const ready = await untilReady(cluster, "app=web", { count: 2 });
  assert.deepEqual(ready.map(({ metadata }) => metadata?.uid).sort(), uids);
  assert.deepEqual(
    (await cluster.client.list(deployments, { namespace: "default" })).items.map(({ metadata }) => metadata?.name),
    ["web"],
  );
  assert.deepEqual(await podsOf(cluster, "app=later"), []);
  await until("the service answers", async () => {
    const text = await fetchText(`http://${cluster.nodes[0]?.address}:30091/`);
    return text?.startsWith("one") === true ? true : undefined;
  });
});

async function type(block: string, folder: string, kubeconfig = ""): Promise<void> {
  const script = block
    .replaceAll("/var/lib/naru", place.dataDir)
    .replaceAll("/var/backups", folder)
    .replaceAll(/^naru /gm, `${naruPath} `);
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  done(await runProgram("bash", ["-euxo", "pipefail", "-c", script], { env }));
}
