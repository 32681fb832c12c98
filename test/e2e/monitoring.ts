// charts/monitoring made ready as its README says, and real programs that scrape with it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Output, runProgram } from "./cluster.ts";

export const chart = new URL("../../charts/monitoring/", import.meta.url).pathname;

export interface MonitoringPlace {
  /** The server's data folder. */
  readonly dataDir: string;
  /** "10.0.0.1:6443" */
  readonly server: string;
}

/** Runs the commands of the chart's README up to promtool with a place of our own, and resolves with the folder that they fill. */
export async function prepareMonitoring({ dataDir, server }: MonitoringPlace): Promise<string> {
  const folder = join(dataDir, "prometheus");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const script = readCommands()
    .replaceAll("/var/lib/naru/pki", join(dataDir, "pki"))
    .replaceAll("/etc/prometheus/naru", folder)
    .replaceAll("10.0.0.1:6443", server)
    .replaceAll("charts/monitoring/", chart);
  const path = join(folder, "prepare.sh");
  writeFileSync(path, `set -eu\n${script}\n`);
  const { code, stderr }: Output = await runProgram("sh", [path], {});
  if (code !== 0) throw new Error(`charts/monitoring/README.md's commands fail: ${stderr}`);
  return folder;
}

// All but the last, which starts Prometheus.
function readCommands(): string {
  const block = /```sh\n([^`]*)```/.exec(readFileSync(join(chart, "README.md"), "utf8"))?.[1] ?? "";
  return block
    .split("\n")
    .filter((line) => !line.startsWith("promtool"))
    .join("\n");
}

export interface UpSample {
  readonly metric: { readonly job: string; readonly node?: string; readonly pod?: string };
  readonly value: readonly [number, string];
}

/** What a query gives, from Prometheus or from what speaks its API; undefined while it does not answer. */
export async function query(base: string, expression: string): Promise<readonly UpSample[] | undefined> {
  const answer = await fetch(`${base}/api/v1/query?${new URLSearchParams({ query: expression })}`);
  const { data } = (await answer.json()) as { data?: { result: readonly UpSample[] } };
  return data?.result;
}
