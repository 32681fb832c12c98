// charts/monitoring made ready as its README says, and real programs that scrape with it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { join } from "node:path";
import { parse } from "yaml";
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
  readonly metric: { readonly job: string; readonly node?: string; readonly pod?: string } & Readonly<
    Record<string, string>
  >;
  readonly value: readonly [number, string];
}

/** What a query gives, from Prometheus or from what speaks its API; undefined while it does not answer. */
export async function query(base: string, expression: string): Promise<readonly UpSample[] | undefined> {
  const answer = await fetch(`${base}/api/v1/query?${new URLSearchParams({ query: expression })}`);
  const { data } = (await answer.json()) as { data?: { result: readonly UpSample[] } };
  return data?.result;
}

export interface MetricsDoor {
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
}

/** What a page of metrics of a server or an agent says to Prometheus' certificate, its own certificate verified. */
export function scrape(folder: string, { host, port, serverName }: MetricsDoor, path = "/metrics"): Promise<string> {
  const pem = (name: string) => readFileSync(join(folder, name));
  const tls = {
    ca: pem("ca.pem"),
    cert: pem("prometheus.pem"),
    key: pem("prometheus-key.pem"),
    servername: serverName,
  };
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path, agent: false, ...tls }, async (answer) => {
      const text = Buffer.concat(await answer.toArray()).toString();
      if (answer.statusCode === 200) resolve(text);
      else reject(new Error(`${host}:${port} answers ${answer.statusCode}: ${text}`));
    });
    request.on("error", reject);
  });
}

/** All expressions of the alerts and of the dashboard. */
export function expressions(): readonly string[] {
  return [
    ...rules().map(({ expr }) => expr),
    ...readDashboard().panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
}

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(join(chart, "dashboard.json"), "utf8")) as Dashboard;
}

export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
}

export function rules(): readonly Rule[] {
  const { groups } = parse(readFileSync(join(chart, "rules.yaml"), "utf8")) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

export interface Dashboard {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}

/** The metrics that an expression reads: its words without texts, labels, durations, functions and operators. */
export function metricsOf(expression: string): readonly string[] {
  const bare = expression
    .replaceAll(/\{[^}]*\}|"[^"]*"|\[[^\]]*\]/g, " ")
    .replaceAll(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, " ");
  return [...bare.matchAll(/(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()/g)]
    .map(([name]) => name)
    .filter((name) => !["and", "or", "unless", "bool", "offset", "group_left", "group_right"].includes(name))
    .map((name) => name.replace(/_bucket$/, ""));
}

/** What the answers of /metrics and the recorded series offer. */
export function namesOf(exposed: readonly string[]): ReadonlySet<string> {
  const declared = exposed.flatMap((text) => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name));
  return new Set(["up", ...declared, ...rules().flatMap(({ record }) => record ?? [])]);
}
