// A real Prometheus with the shipped configurations: finds servers, agents, pods and a machine that joins later, and scrapes them all.
// Debian's has no Kubernetes discovery, so that configuration is run by VictoriaMetrics, which reads the same file.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildHelloImage } from "../../charts/hello/image/build.ts";
import { debianProgram } from "../tools.ts";
import { naruPath, runProgram } from "./cluster.ts";
import { openMachines } from "./machines.ts";
import { expressions, metricsOf, namesOf, prepareMonitoring, query, scrape } from "./monitoring.ts";
import { done, until } from "./questions.ts";

const hello = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: hello }
spec:
  replicas: 1
  selector: { matchLabels: { app: hello } }
  template:
    metadata:
      labels: { app: hello }
      annotations: { prometheus.io/scrape: "true" }
    spec:
      containers: [{ name: hello, image: "naru.local/hello:1", ports: [{ containerPort: 8080 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: hello, annotations: { prometheus.io/scrape: "true" } }
spec: { selector: { app: hello }, ports: [{ port: 80, targetPort: 8080 }] }
`;

test("Prometheus finds machines joined by hand, a later one too, and what runs there, and scrapes them all", async () => {
  await using machines = await openMachines(["one", "two", "three"]);
  const { place, list } = machines;
  const [one, two, three] = list;
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const serverUrl = `https://${one.address}:6443`;
  one.start(naruPath, ["server", "--advertise", one.address, "--data", place.dataDir]);
  const kubeconfig = join(place.dataDir, "kubeconfig");
  const naru = async (...args: readonly string[]) =>
    done(await runProgram(naruPath, args, { env: { ...process.env, KUBECONFIG: kubeconfig } }));
  const token = (await until("a token", () => naru("token"))).trim();
  one.join(serverUrl, token);
  two.join(serverUrl, token);
  const readyNodes = (count: number) =>
    until(`${count} nodes Ready`, async () => {
      const table = await naru("get", "nodes", "--no-headers");
      return table.match(/ Ready /g)?.length === count ? true : undefined;
    });
  await readyNodes(2);
  const archive = join(place.dataDir, "hello.tar");
  writeFileSync(archive, await buildHelloImage());
  await naru("image", "import", archive);
  const manifest = join(place.dataDir, "hello.yaml");
  writeFileSync(manifest, hello);
  await naru("apply", "-f", manifest, "--wait");

  const folder = await prepareMonitoring({ dataDir: place.dataDir, server: `${one.address}:6443` });
  const promtool = await debianProgram("prometheus", "usr/bin/promtool");
  const config = join(folder, "prometheus-http.yml");
  done(await runProgram(promtool, ["check", "config", config], {}));
  // On a node, as users run it: pods' addresses are reached from there.
  two.start(await debianProgram("prometheus", "usr/bin/prometheus"), [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(place.dataDir, "tsdb")}`,
    "--web.listen-address=0.0.0.0:9090",
  ]);
  two.start(await debianProgram("victoria-metrics", "usr/bin/victoria-metrics"), [
    `--promscrape.config=${join(folder, "prometheus.yml")}`,
    // It takes rules from elsewhere.
    "--promscrape.config.strictParse=false",
    "--promscrape.kubernetesSDCheckInterval=2s",
    "--search.latencyOffset=1s",
    `--storageDataPath=${join(place.dataDir, "victoria")}`,
    "--httpListenAddr=0.0.0.0:8428",
  ]);
  const wanted = (agents: readonly string[]) => [
    ...agents.map((name) => `naru-agent ${name} 1`),
    "naru-server  1",
    "pods hello 1",
    "services hello 1",
  ];
  const scraped = (base: string, expected: readonly string[]) =>
    until(`${base} has scraped ${expected.join(", ")}`, async () => {
      const found = (await query(base, "up")) ?? [];
      const lines = found
        .map(({ metric: { job, node, pod }, value }) => `${job} ${node ?? pod?.split("-")[0] ?? ""} ${value[1]}`)
        .sort();
      return JSON.stringify(lines) === JSON.stringify(expected) ? lines : undefined;
    });
  const bases = [`http://${two.address}:9090`, `http://${two.address}:8428/prometheus`];
  for (const base of bases) await scraped(base, wanted(["one", "two"]));

  three.join(serverUrl, token);
  await readyNodes(3);
  for (const base of bases) await scraped(base, wanted(["one", "three", "two"]));
  const greeted = await query(bases[0] ?? "", 'hello_greetings_total{job="pods", namespace="default"}');
  assert.deepEqual(
    greeted?.map(({ value }) => value[1]),
    ["0"],
  );

  const exposed = await Promise.all([
    scrape(folder, { host: one.address, port: 6443, serverName: "kubernetes" }),
    scrape(folder, { host: two.address, port: 10250, serverName: "naru-agent" }),
    scrape(folder, { host: two.address, port: 10250, serverName: "naru-agent" }, "/metrics/cadvisor"),
    scrape(folder, { host: two.address, port: 10250, serverName: "naru-agent" }, "/metrics/resource"),
  ]);
  for (const text of exposed) {
    assert.deepEqual(await runProgram(promtool, ["check", "metrics"], { input: text }), {
      code: 0,
      stdout: "",
      stderr: "",
    });
  }
  assert.deepEqual(
    expressions()
      .flatMap(metricsOf)
      .filter((name) => !namesOf(exposed).has(name)),
    [],
  );
});
