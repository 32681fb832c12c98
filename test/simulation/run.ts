// `npm run simulate`: run after run on growing seeds, until one fails or all are done.
import { createWriteStream } from "node:fs";
import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

const usage = `usage: npm run simulate -- [--seeds N] [--seed S] [--nodes N] [--minutes M] [--trace FILE]
  --seeds N     how many runs (default 20)
  --seed S      the first run's seed (default: from the time of day)
  --nodes N     simulated nodes (default 100)
  --minutes M   virtual minutes of faults per run (default 1)
  --trace FILE  write everything that happens, a line each`;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    seed: { type: "string" },
    nodes: { type: "string", default: "100" },
    minutes: { type: "string", default: "1" },
    trace: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const [seeds, nodes, minutes] = [values.seeds, values.nodes, values.minutes].map(Number);
const first = values.seed === undefined ? Date.now() % 1_000_000_000 : Number(values.seed);
if (![seeds, nodes, minutes, first].every((value) => value !== undefined && value > 0)) {
  console.error(usage);
  process.exit(2);
}

const trace = values.trace === undefined ? undefined : createWriteStream(values.trace);
const options = {
  nodes: nodes ?? 0,
  durationMs: (minutes ?? 0) * 60_000,
  ...(trace === undefined ? {} : { onLine: (line: string) => void trace.write(`${line}\n`) }),
};
for (let i = 0; i < (seeds ?? 0); i++) {
  const startMs = performance.now();
  const result = await simulate({ ...options, seed: first + i });
  const { seed, hash, faults, commits, pods, convergedMs, failures, lastLines } = result;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `seed ${seed}: ${failures.length === 0 ? "ok" : "FAILED"}, ${faults} faults, ${commits} commits, ${pods} pods, ` +
      `converged after ${(convergedMs / 1000).toFixed(1)} s, trace ${hash}, took ${seconds} s`,
  );
  if (failures.length === 0) continue;
  console.log(lastLines.slice(-30).join("\n"));
  for (const failure of failures.slice(0, 20)) console.log(`  ${failure}`);
  if (failures.length > 20) console.log(`  and ${failures.length - 20} more`);
  console.log(`replay: npm run simulate -- --seeds 1 --seed ${seed} --nodes ${nodes} --minutes ${minutes}`);
  process.exitCode = 1;
  break;
}
trace?.end();
