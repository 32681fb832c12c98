// `npm start` as scripts use it: without a terminal, its lines, its signals, what it says when something is in the way.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { newPlace, runProgram } from "./cluster.ts";
import { fetchText, until } from "./questions.ts";
import { agentOf, findRemains, nothing, type Place, removeRemains } from "./remains.ts";

const root = new URL("../..", import.meta.url).pathname;
const subnet = `10.${100 + (process.pid % 50)}.${process.pid % 250}.0/24`;
let place: Place;
let neighbour: Place;
let npm: ChildProcess;
const printed: string[] = [];

before(async () => {
  place = await newPlace();
  neighbour = await newPlace("b");
  npm = spawn("npm", words(place), { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const failed = once(npm, "exit").then(([code]) => Promise.reject(new Error(`npm start ended with code ${code}`)));
  failed.catch(() => {});
  const lines = createInterface({ input: npm.stdout ?? process.stdin });
  const ready = (async () => {
    for await (const line of lines) {
      printed.push(line);
      if (line.startsWith("ready in ")) return;
    }
  })();
  await Promise.race([ready, failed]);
});
after(async () => {
  for (const one of [place, neighbour]) await removeRemains(one);
});

test("npm start prints its facts as plain lines", async () => {
  const facts = printed.slice(printed.findIndex((line) => line.startsWith("url: ")));
  assert.match(facts[0] ?? "", /^url: http:\/\/[\d.]+:\d+\/$/);
  assert.equal(facts[1], `kubeconfig: ${place.dataDir}/kubeconfig`);
  assert.equal(facts[2], "nodes: node-1, node-2, node-3");
  assert.match(facts.at(-1) ?? "", /^ready in \d+\.\d s$/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
  assert.doesNotMatch(printed.join("\n"), /\x1b/);
  assert.match((await fetchText(urlOf())) ?? "", /^Hello from pod hello-/);
});

test("a second npm start of the same cluster says which process runs the first", async () => {
  const { code, stderr } = await runProgram("npm", ["--silent", ...words(place)], { cwd: root });
  assert.equal(code, 1);
  assert.match(stderr, /^Error: the cluster test-\S+ runs already, as process \d+: end that first, or give this one/);
});

test("naru up says which folder is another cluster's", async () => {
  const args = words({ ...neighbour, dataDir: place.dataDir });
  const { code, stderr } = await runProgram("npm", ["--silent", ...args], { cwd: root });
  assert.deepEqual([code, stderr.includes(`another cluster keeps its state in ${place.dataDir}`)], [1, true]);
});

test("naru up names the port in use and who holds it", async () => {
  // On the same addresses as the first.
  const { code, stderr } = await runProgram("npm", ["--silent", ...words(neighbour)], { cwd: root });
  assert.equal(code, 1);
  assert.match(stderr, /^Error: port 6443 is in use: process \d+ \(node .*\) listens on it/);
  assert.deepEqual(await findRemains(neighbour), nothing);
});

test("npm start runs on when nobody reads its lines any more", async () => {
  npm.stdout?.destroy();
  npm.stderr?.destroy();
  // It tells of an agent that it starts again.
  const agent = agentOf(place, "node-1");
  process.kill(agent, "SIGKILL");
  await until("another agent", () =>
    agentOf(place, "node-1") > 0 && agentOf(place, "node-1") !== agent ? true : undefined,
  );
  const { code } = await runProgram(`${root}bin/naru`, ["scale", "deployment/hello", "--replicas", "1"], {
    env: { ...process.env, KUBECONFIG: `${place.dataDir}/kubeconfig` },
  });
  assert.equal(code, 0);
  await until("the service answers", () => fetchText(urlOf()));
});

test("npm start ends on SIGTERM when the cluster has ended, and with code 0", async () => {
  const ended = once(npm, "exit");
  assert.equal(npm.exitCode, null);
  npm.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual(await findRemains(place), nothing);
});

function words({ name, dataDir }: Place): readonly string[] {
  return ["start", "--", "--name", name, "--data", dataDir, "--subnet", subnet];
}

function urlOf(): string {
  return printed.find((line) => line.startsWith("url: "))?.slice("url: ".length) ?? "";
}
