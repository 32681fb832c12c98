// npm run bench: every question asked, beside the goals and the peers that this machine has.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { benchBuild } from "./build.ts";
import { benchCluster, benchDensity } from "./cluster.ts";
import { benchClusterPull } from "./cluster-pull.ts";
import { benchContainer } from "./container.ts";
import { benchDocker } from "./docker.ts";
import { benchImages } from "./images.ts";
import { fetchPeers } from "./peer-packages.ts";
import { measurePeers, withPeers } from "./peers.ts";
import type { Result } from "./result.ts";
import { benchSchedule } from "./schedule.ts";
import { benchStore } from "./store.ts";

// What a suite answers, and what is hoped for.
const suites: readonly { readonly names: readonly string[]; readonly run: () => Promise<readonly Result[]> }[] = [
  {
    names: [
      "container-start",
      "container-start-warm",
      "container-rate",
      "container-remove",
      "exec",
      "container-pss",
      "bare-start",
      "bare-rate",
    ],
    run: benchContainer,
  },
  { names: ["pull-cold", "pull-shared"], run: benchImages },
  { names: ["cluster-pull"], run: benchClusterPull },
  { names: ["build-cold", "build-cached", "build-one-changed", "commit-1000"], run: benchBuild },
  { names: ["docker-run"], run: benchDocker },
  { names: ["schedule-5000"], run: benchSchedule },
  {
    names: ["store-sqlite-commit", "store-sqlite-rate", "store-etcd-commit", "store-etcd-rate"],
    run: benchStore,
  },
  {
    names: [
      "apply-ready-1",
      "apply-ready-100",
      "delete-100",
      "pod-bound-ready",
      "node-death",
      "rss-server",
      "rss-agent",
      "cpu-idle",
    ],
    run: benchCluster,
  },
  { names: ["density-500"], run: benchDensity },
];
const goals: Readonly<Record<string, string>> = {
  "container-start": "<= 2",
  "container-start-warm": "<= 0.8",
  "container-rate": ">= 900",
  "container-remove": "<= 3",
  exec: "<= 2",
  "container-pss": "<= 0.3",
  "pull-cold": "<= 1600",
  "pull-shared": "<= 400",
  "cluster-pull": "1",
  "build-cold": "<= 400",
  "build-cached": "<= 50",
  "build-one-changed": "<= 330",
  "commit-1000": "<= 200",
  "docker-run": "<= 40",
  "apply-ready-1": "<= 60, p99 <= 250",
  "apply-ready-100": "<= 1500",
  "delete-100": "<= 1500",
  "pod-bound-ready": "<= 15",
  "density-500": "<= 5",
  "node-death": "<= 5000",
  "schedule-5000": ">= 5000",
  "rss-server": "<= 120",
  "rss-agent": "<= 80",
  "cpu-idle": "<= 2",
};

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    only: { type: "string", multiple: true },
    "fetch-peers": { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const only = values.only?.flatMap((names) => names.split(","));
const isWanted = (name: string) => only === undefined || only.includes(name);
if (values["fetch-peers"]) await fetchPeers();
const measured: Result[] = [];
for (const suite of suites) {
  if (!suite.names.some(isWanted)) continue;
  console.error(`measuring ${suite.names.filter(isWanted).join(", ")}`);
  measured.push(...(await suite.run()).filter(({ name }) => isWanted(name)));
}
const results = await withContainerPeers(measured);
print();
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
// Node's worker threads and kept connections of the suites end with the process.
process.exit(0);

async function withContainerPeers(own: readonly Result[]): Promise<readonly Result[]> {
  if (!own.some(({ name }) => name.startsWith("container-") || name === "exec")) return own;
  console.error("measuring the peers that this machine has");
  return withPeers(own, await measurePeers());
}

function print(): void {
  const rows = [
    ["name", "unit", "n", "median", "p99", "goal"],
    ...results.flatMap((result) => [
      [result.name, result.unit, String(result.n), round(result.median), round(result.p99), goals[result.name] ?? ""],
      ...Object.entries(result.peer ?? {}).map(([name, median]) => [
        `  ${name}`,
        result.unit,
        "",
        round(median),
        "",
        ratio(result, median),
      ]),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  for (const row of rows)
    console.log(
      row
        .map((cell, i) => cell.padEnd((widths[i] ?? 0) + 2))
        .join("")
        .trimEnd(),
    );
}

function ratio({ unit, median }: Result, peer: number): string {
  return unit === "1/s" ? `ours is ${round(median / peer)} times that` : `${round(peer / median)} times ours`;
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
