// All checks and tests, as `npm test` and CI run them: format and lint, types, dead code, fast tests in one process, then the files that
// use real programs and kernel features, one process each so that none disturbs another.
import { spawnSync } from "node:child_process";
import { glob } from "node:fs/promises";
import { removeDeadTests } from "./e2e/dead-tests.ts";

const root = new URL("..", import.meta.url).pathname;
const onlyCheck = process.argv.includes("--check");
const slow = ["test/linux", "test/e2e", "test/contract"];
const ownProcess = (await Array.fromAsync(glob(`{${slow.join(",")}}/**/*.test.ts`, { cwd: root }))).sort();
const fast = (
  await Array.fromAsync(
    glob("{api,charts,cli,client,compose,controllers,lib,node-agent,proto,scheduler,server,test}/**/*.test.ts", {
      cwd: root,
    }),
  )
)
  .filter((file) => !ownProcess.includes(file))
  .sort();

const steps: readonly (readonly [name: string, program: string, args: readonly string[]])[] = [
  ["format and lint", "node_modules/.bin/biome", ["check", "--error-on-warnings", "."]],
  ["types", "node_modules/.bin/tsc", ["-p", "."]],
  ["dead code", "node_modules/.bin/knip", []],
  ...(onlyCheck
    ? []
    : ([
        [
          "fast tests",
          process.execPath,
          ["--test", "--test-isolation=none", "--test-reporter=dot", "--test-reporter-destination=stdout", ...fast],
        ],
        [
          "real programs and kernel",
          process.execPath,
          ["--test", "--test-concurrency=1", "--test-timeout=600000", ...ownProcess],
        ],
      ] as const)),
];

const launcherPath = `${root}node-agent/launcher/build/naru-launcher`;
const failed: string[] = [];
// Of a run that was killed, and below of a file that was.
if (!onlyCheck) await removeDeadTests(launcherPath);
for (const [name, program, args] of steps) {
  console.log(`== ${name}`);
  const startMs = performance.now();
  const { status } = spawnSync(program, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
  });
  if (status !== 0) failed.push(name);
  console.log(
    `== ${name}: ${status === 0 ? "ok" : "FAILED"} in ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
  );
}
if (!onlyCheck) await removeDeadTests(launcherPath);
if (failed.length > 0) {
  console.error(`failed: ${failed.join(", ")}`);
  process.exit(1);
}
