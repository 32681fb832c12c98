// All checks and tests, as `npm test` and CI run them: format and lint, types, dead code, fast tests in one process, then the files that
// use real programs and kernel features, one process each so that none disturbs another. With files as arguments: those alone.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { glob } from "node:fs/promises";
import { removeDeadTests } from "./e2e/dead-tests.ts";

const root = new URL("..", import.meta.url).pathname;
const onlyCheck = process.argv.includes("--check");
const named = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const slow = ["test/linux", "test/e2e", "test/contract"];
// Minutes of one processor in a virtual machine, and nothing that others could feel: they run beside the checks and the fast tests.
const besides = ["test/linux/cgroup2.test.ts"];
const isNamed = (file: string) => named.length === 0 || named.includes(file);
const ownProcess = (await Array.fromAsync(glob(`{${slow.join(",")}}/**/*.test.ts`, { cwd: root })))
  .filter(isNamed)
  .sort();
const fast = (
  await Array.fromAsync(
    glob("{api,charts,cli,client,compose,controllers,lib,node-agent,proto,scheduler,server,test}/**/*.test.ts", {
      cwd: root,
    }),
  )
)
  .filter((file) => !slow.some((folder) => file.startsWith(`${folder}/`)) && isNamed(file))
  .sort();
const unknown = named.filter((file) => !ownProcess.includes(file) && !fast.includes(file));
if (unknown.length > 0) {
  console.error(`no test files, seen from the project's folder: ${unknown.join(", ")}`);
  process.exit(2);
}

type Step = readonly [name: string, program: string, args: readonly string[]];
const checks: readonly Step[] = [
  ["format and lint", "node_modules/.bin/biome", ["check", "--error-on-warnings", "."]],
  ["types", "node_modules/.bin/tsc", ["-p", "."]],
  ["dead code", "node_modules/.bin/knip", []],
];
const inOneProcess = ["--test", "--test-isolation=none", "--test-reporter=dot", "--test-reporter-destination=stdout"];
const steps: readonly Step[] = [
  ...(named.length === 0 ? checks : []),
  ...(onlyCheck || fast.length === 0 ? [] : [["fast tests", process.execPath, [...inOneProcess, ...fast]] as const]),
];

const launcherPath = `${root}node-agent/launcher/build/naru-launcher`;
const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
const run = async (program: string, args: readonly string[]) => {
  const [code] = (await once(spawn(program, args, { cwd: root, stdio: "inherit", env }), "close")) as [number | null];
  return code === 0;
};
const failed: string[] = [];
const passed: string[] = [];
const shaky: string[] = [];

// Of a run that was killed, and below of a file that was.
if (!onlyCheck) await removeDeadTests(launcherPath);
const beside = onlyCheck ? [] : ownProcess.filter((file) => besides.includes(file));
const running = beside.map(runBeside);
for (const [name, program, args] of steps) {
  console.log(`== ${name}`);
  const startMs = performance.now();
  const ok = await run(program, args);
  (ok ? passed : failed).push(name);
  console.log(`== ${name}: ${ok ? "ok" : "FAILED"} in ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
}
for (const file of running) await file;
if (!onlyCheck) await runAlone(ownProcess.filter((file) => !beside.includes(file)));
if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
if (shaky.length > 0) console.error(`failed at first and passed when run again: ${shaky.join(", ")}`);
console.log(`${passed.length} passed, ${failed.length} failed`);
process.exit(failed.length > 0 ? 1 : 0);

function isGreen(file: string): Promise<boolean> {
  return run(process.execPath, ["--test", "--test-timeout=300000", file]);
}

// What it says is printed at its end, in one piece.
async function runBeside(file: string): Promise<void> {
  const args = ["--test", "--test-timeout=900000", file];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], env });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk));
  const [code] = (await once(child, "close")) as [number | null];
  console.log(`== ${file}`);
  process.stdout.write(Buffer.concat(said));
  (code === 0 ? passed : failed).push(file);
}

// Each file by itself. They share the machine with whatever else runs there: one that fails has a second try, and is named for it.
async function runAlone(files: readonly string[]): Promise<void> {
  for (const file of files) {
    console.log(`== ${file}`);
    if (await isGreen(file)) {
      passed.push(file);
      continue;
    }
    await removeDeadTests(launcherPath);
    console.log(`== ${file}, again`);
    if (await isGreen(file)) {
      passed.push(file);
      shaky.push(file);
    } else failed.push(file);
  }
  await removeDeadTests(launcherPath);
}
