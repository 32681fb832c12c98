// A test that is killed in the middle, `naru up` with it, leaves nothing once the next one starts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { testOf } from "../folders.ts";
import { removeDeadTests } from "./dead-tests.ts";
import { findRemains, nothing, type Place } from "./remains.ts";

// Another test, in the middle.
const victim = `
import { startRegistry } from "../registry.ts";
import { startCluster } from "./cluster.ts";
import { pod } from "./manifests.ts";
import { importProbe, untilReady } from "./questions.ts";
await startRegistry();
const cluster = await startCluster({ nodes: 1 });
await importProbe(cluster);
await cluster.naru(["apply", "-f", "-"], { input: pod({ name: "a", args: ["sleep", "1000"] }) });
await untilReady(cluster, "app=a", { count: 1 });
console.log(JSON.stringify({ place: cluster.place, up: cluster.up.pid }));
`;

test("what a killed test left is removed, removeDeadTests", async () => {
  const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", victim], {
    cwd: new URL(".", import.meta.url).pathname,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  let said: { readonly place: Place; readonly up: number };
  try {
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    said = JSON.parse(String(line));
    process.kill(said.up, "SIGKILL");
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
  const { place } = said;
  const folders = () => readdirSync(tmpdir()).filter((name) => testOf(name) === child.pid);
  const registry = { ...place, dataDir: join(tmpdir(), folders().find((name) => name.includes("-registry-")) ?? "") };
  for (const left of [place, registry]) assert.notDeepEqual(await findRemains(left), nothing);
  await removeDeadTests(place.launcherPath);
  for (const left of [place, registry]) assert.deepEqual(await findRemains(left), nothing);
  assert.deepEqual(folders(), []);
});
