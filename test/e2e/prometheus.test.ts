// A real Prometheus with the shipped configuration finds the server and all agents, and scrapes them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "../registry.ts";
import { debianProgram } from "../tools.ts";
import { runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { done, until } from "./questions.ts";

const chart = new URL("../../charts/monitoring/", import.meta.url).pathname;

test("Prometheus finds server and agents with charts/monitoring and scrapes them all", async () => {
  await using cluster = await startCluster();
  const configuration = writeConfiguration(cluster);
  const promtool = await debianProgram("prometheus", "usr/bin/promtool");
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

function writeConfiguration(cluster: TestCluster): string {
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
  writeFileSync(path, text);
  return path;
}
