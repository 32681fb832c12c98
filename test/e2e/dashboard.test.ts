// The Grafana dashboard of charts/monitoring: every panel asks a real Prometheus, which scrapes a cluster with troubles to show.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { readKubeconfig } from "../../client/kubeconfig.ts";
import { freePort } from "../registry.ts";
import { debianProgram } from "../tools.ts";
import { startCluster } from "./cluster.ts";
import { type Panel, prepareMonitoring, query, readDashboard } from "./monitoring.ts";
import { done, until } from "./questions.ts";

/** A Deployment short of replicas, a pod that crashes, and one that fits nowhere. */
const troubles = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: short }
spec:
  replicas: 1
  selector: { matchLabels: { app: short } }
  template:
    metadata: { labels: { app: short } }
    spec: { containers: [{ name: short, image: "naru.local/none:1" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: crashing }
spec: { containers: [{ name: crashing, image: "naru.local/hello:1", command: [/hello, --no-such-option] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: fitting-nowhere }
spec:
  nodeSelector: { disk: none }
  containers: [{ name: one, image: "naru.local/hello:1" }]
`;

test("dashboard.json is one that Grafana imports: panels by number and place, each asking the chosen data source", () => {
  const { uid, schemaVersion, templating, panels } = readDashboard();
  assert.deepEqual(
    {
      uid,
      schemaVersion,
      variables: templating.list.map(({ name, type }) => `${name}: ${type}`),
      twice: panels.map(({ id }) => id).filter((id, at, ids) => ids.indexOf(id) !== at),
      over: panels.flatMap((one, at) =>
        panels.slice(at + 1).flatMap((other) => (overlap(one, other) ? [`${one.title} and ${other.title}`] : [])),
      ),
      outside: panels.filter(({ gridPos: { x, w } }) => x < 0 || x + w > 24).map(({ title }) => title),
      otherSources: panels
        .filter(({ datasource }) => datasource.type !== "prometheus" || datasource.uid !== `\${datasource}`)
        .map(({ title }) => title),
    },
    {
      uid: "naru",
      schemaVersion: 39,
      variables: ["datasource: datasource"],
      twice: [],
      over: [],
      outside: [],
      otherSources: [],
    },
  );
});

test("every panel of the dashboard gets data from Prometheus, with the labels that its legend names", async () => {
  await using cluster = await startCluster({ nodes: 2, args: ["--demo"] });
  done(await cluster.naru(["apply", "-f", "-"], { input: troubles }));
  const { host } = new URL((await readKubeconfig(cluster.kubeconfig)).server);
  const folder = await prepareMonitoring({ dataDir: cluster.place.dataDir, server: host });
  await using prometheus = await startPrometheus(folder);
  const gives = async (expr: string, labels: readonly string[]) => {
    const samples = (await query(prometheus.base, expr)) ?? [];
    const numbers = samples.filter(({ value: [, number] }) => Number.isFinite(Number(number)));
    const named = labels.every((label) => numbers.some(({ metric }) => metric[label] !== undefined));
    return numbers.length > 0 && named ? true : undefined;
  };
  for (const panel of readDashboard().panels) {
    for (const { expr, legendFormat } of panel.targets) {
      const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      await until(`numbers with the labels "${labels}" for ${panel.title}: ${expr}`, () => gives(expr, labels));
    }
  }
});

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** With the folder's configuration, on a free port of this machine, from which nodes are reached. */
async function startPrometheus(folder: string): Promise<AsyncDisposable & { readonly base: string }> {
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    await debianProgram("prometheus", "usr/bin/prometheus"),
    [
      `--config.file=${join(folder, "prometheus-http.yml")}`,
      `--storage.tsdb.path=${join(folder, "tsdb")}`,
      `--web.listen-address=${address}`,
    ],
    { stdio: "ignore" },
  );
  const killWithTest = () => child.kill("SIGKILL");
  process.once("exit", killWithTest);
  return {
    base: `http://${address}`,
    [Symbol.asyncDispose]: async () => {
      process.removeListener("exit", killWithTest);
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}
