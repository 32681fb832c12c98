// A real Prometheus with the shipped configuration scrapes the server and all agents. Where it is built without Kubernetes discovery, as
// Debian's is, the test asks the API for its targets as that discovery would.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, stringify } from "yaml";
import type { Node } from "../../api/kinds/generated/types.ts";
import { httpsTransport } from "../../client/transport.ts";
import { freePort } from "../registry.ts";
import { debianProgram } from "../tools.ts";
import { runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { done, until } from "./questions.ts";

const chart = new URL("../../charts/monitoring/", import.meta.url).pathname;

test("Prometheus finds server and agents with charts/monitoring and scrapes them all", async () => {
  await using cluster = await startCluster();
  const promtool = await debianProgram("prometheus", "usr/bin/promtool");
  const configuration = await writeConfiguration(cluster, await knowsKubernetes(promtool, cluster));
  done(await runProgram(promtool, ["check", "config", configuration], {}));

  const metrics = done(await cluster.kubectl("new", ["get", "--raw", "/metrics"]));
  const check = await runProgram(promtool, ["check", "metrics"], { input: metrics });
  assert.deepEqual(check, { code: 0, stdout: "", stderr: "" });

  const port = await freePort();
  const prometheus = spawn(
    await debianProgram("prometheus", "usr/bin/prometheus"),
    [
      `--config.file=${configuration}`,
      `--storage.tsdb.path=${join(cluster.place.dataDir, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: "ignore" },
  );
  const ended = once(prometheus, "exit");
  try {
    const up = await until("every target is scraped", async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=up`);
      const { data } = (await answer.json()) as { data: { result: readonly Sample[] } };
      const found = data.result.map(({ metric, value }) => `${metric.job} ${metric.node ?? ""} ${value[1]}`).sort();
      return found.length === 4 && found.every((line) => line.endsWith(" 1")) ? found : undefined;
    });
    assert.deepEqual(up, [...cluster.nodes.map(({ name }) => `naru-agent ${name} 1`), "naru-server  1"]);
  } finally {
    prometheus.kill("SIGKILL");
    await ended;
  }
});

interface Sample {
  readonly metric: { readonly job: string; readonly node?: string };
  readonly value: readonly [number, string];
}

// Debian builds its Prometheus without Kubernetes discovery.
async function knowsKubernetes(promtool: string, cluster: TestCluster): Promise<boolean> {
  const path = join(cluster.place.dataDir, "discovery.yml");
  writeFileSync(path, "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: node}]}]\n");
  const { stderr, stdout } = await runProgram(promtool, ["check", "config", path], {});
  return !`${stdout}${stderr}`.includes("kubernetes_sd_configs not found");
}

interface ScrapeConfiguration {
  readonly kubernetes_sd_configs?: readonly { readonly role: string }[];
}

/** What Prometheus' own discovery does for the role "node": lists nodes with Prometheus' certificate, and makes a target of each. */
async function discoverNodes(cluster: TestCluster, folder: string): Promise<readonly object[]> {
  const pem = (name: string) => readFileSync(join(folder, name), "utf8");
  const server = cluster.client.transport.connection.server;
  using transport = httpsTransport({
    server,
    authorityPem: pem("ca.pem"),
    certificatePem: pem("prometheus.pem"),
    keyPem: pem("prometheus-key.pem"),
    namespace: "default",
  });
  const { items } = (await transport.json({ method: "GET", path: "/api/v1/nodes" })) as { items: readonly Node[] };
  await assert.rejects(transport.json({ method: "GET", path: "/api/v1/secrets" }), { reason: "Forbidden" });
  return items.map(({ metadata, status }) => {
    const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
    return {
      targets: [`${address}:${status?.daemonEndpoints?.kubeletEndpoint?.Port}`],
      labels: { __meta_kubernetes_node_name: metadata?.name },
    };
  });
}

async function withoutKubernetes(text: string, cluster: TestCluster, folder: string): Promise<string> {
  const { scrape_configs: configs, ...rest } = parse(text) as { scrape_configs: readonly ScrapeConfiguration[] };
  const nodes = await discoverNodes(cluster, folder);
  const replaced = configs.map(({ kubernetes_sd_configs: discovery, ...config }) =>
    discovery === undefined ? config : { ...config, static_configs: discovery[0]?.role === "node" ? nodes : [] },
  );
  return stringify({ ...rest, scrape_configs: replaced });
}

async function writeConfiguration(cluster: TestCluster, knows: boolean): Promise<string> {
  const { dataDir } = cluster.place;
  const folder = join(dataDir, "prometheus");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [key = "", certificate = ""] = readFileSync(join(dataDir, "pki/prometheus.pem"), "utf8").split(
    /(?=-----BEGIN CERTIFICATE)/,
  );
  const authority = readFileSync(join(dataDir, "pki/ca.pem"), "utf8").split(/(?=-----BEGIN CERTIFICATE)/)[1] ?? "";
  writeFileSync(join(folder, "prometheus-key.pem"), key);
  writeFileSync(join(folder, "prometheus.pem"), certificate);
  writeFileSync(join(folder, "ca.pem"), authority);
  writeFileSync(join(folder, "rules.yaml"), readFileSync(join(chart, "rules.yaml")));
  const server = cluster.client.transport.connection.server.replace("https://", "");
  const text = readFileSync(join(chart, "prometheus.yaml"), "utf8")
    .replaceAll(`\${SERVER}`, server)
    .replaceAll(`\${CERTIFICATES}`, folder)
    .replaceAll(`\${RULES}`, folder);
  const path = join(folder, "prometheus.yml");
  writeFileSync(path, knows ? text : await withoutKubernetes(text, cluster, folder));
  return path;
}
