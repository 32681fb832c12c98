// The alerts of charts/monitoring, as promtool sees them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { debianProgram } from "../tools.ts";
import { runProgram } from "./cluster.ts";
import { chart, metricsOf, rules } from "./monitoring.ts";

test("promtool finds the rules well, and every alert rings when its test says", async () => {
  const promtool = await debianProgram("prometheus", "usr/bin/promtool");
  const check = await runProgram(promtool, ["check", "rules", join(chart, "rules.yaml")], {});
  const rung = await runProgram(promtool, ["test", "rules", join(chart, "rules.test.yaml")], {});
  assert.deepEqual([check.code, rung.code], [0, 0], check.stdout + rung.stdout + rung.stderr);
  const tested = readFileSync(join(chart, "rules.test.yaml"), "utf8");
  const rings = (alert: string) => new RegExp(`alertname: ${alert}\\n +exp_alerts:\\n +- exp_labels`).test(tested);
  assert.deepEqual(
    rules().flatMap(({ alert }) => (alert === undefined || rings(alert) ? [] : [alert])),
    [],
  );
});

test("metricsOf finds what an expression reads", () => {
  assert.deepEqual(
    metricsOf('sum by (a) (rate(b_bucket{c=~"d|e"}[5m])) / on (f) group_left (g) h:i:j > 1e9 and k unless absent(l)'),
    ["b", "h:i:j", "k", "l"],
  );
});
