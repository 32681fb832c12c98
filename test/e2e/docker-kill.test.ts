// The agent killed again and again while containers are made, started, ended and removed: afterwards nothing is left of any of them.
import { deepEqual, ok } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runProgram } from "./cluster.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";
import { agentOf } from "./remains.ts";

const rounds = 6;
let engine: DockerEngine;
before(async () => {
  engine = await startDocker();
});
after(() => engine[Symbol.asyncDispose]());

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds().catch(() => false)); tries++) {
    ok(tries < 400, `${what} within some seconds`);
    await sleep(50);
  }
}

async function remains() {
  const { place } = engine.cluster;
  const list = (path: string) => (existsSync(path) ? readdirSync(path) : []);
  const links = await runProgram(
    place.launcherPath,
    ["netns-run", `${place.runDir}/netns/node-1`, "--", "ip", "-o", "link"],
    {},
  );
  const rules = await runProgram(
    place.launcherPath,
    ["netns-run", `${place.runDir}/netns/node-1`, "--", "nft", "list", "ruleset"],
    {
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    },
  );
  return {
    containers: await engine.ok(["ps", "-aq"]),
    volumes: await engine.ok(["volume", "ls", "-q"]),
    records: list(join(place.dataDir, "node-1", "docker", "containers")),
    layers: list(join(place.dataDir, "node-1", "images", "containers")),
    runtime: list(join(place.dataDir, "node-1", "runtime", "containers")),
    sandboxes: list(join(place.runDir, "node-1", "runtime", "sandboxes")),
    cgroups: list(`/sys/fs/cgroup/memory${place.cgroup}/node-1/docker`).filter((name) => name.length === 64),
    links: [...links.stdout.matchAll(/: (vd\w+)/g)].map(([, name]) => name),
    published: /\. 182\d\d : /.test(rules.stdout),
    monitors: readdirSync("/proc").filter((pid) => isMonitorOf(pid, place.runDir)),
  };
}

function isMonitorOf(pid: string, runDir: string): boolean {
  try {
    return (
      readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("naru-monitor ") &&
      readFileSync(`/proc/${pid}/environ`, "utf8").includes(runDir)
    );
  } catch {
    return false;
  }
}

test("an agent killed at any moment leaves nothing of containers that are gone", async () => {
  for (let round = 0; round < rounds; round++) {
    const options = ["-v", "/scratch", "-p", `${18200 + round}:80`];
    const calls = [
      engine.docker(["run", "--rm", ...options, "busybox", "true"]),
      engine.docker(["run", "-d", "--name", `long-${round}`, "--restart", "always", "busybox", "sleep", "1000"]),
      engine.docker(["create", "-v", "/made", "busybox"]),
    ];
    const pid = agentOf(engine.cluster.place, "node-1");
    // Each round a little later in their lives.
    await sleep(5 + round * 20);
    process.kill(pid, "SIGKILL");
    await Promise.allSettled(calls);
    await until("the agent is back", async () => (await engine.docker(["version"])).code === 0);
  }
  const names = (await engine.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}"]))
    .split("\n")
    .filter((line) => line !== "");
  const ids = (await engine.ok(["ps", "-aq"])).split("\n").filter((id) => id !== "");
  if (ids.length > 0) await engine.ok(["rm", "-fv", ...ids]);
  // Older clients prune all volumes without being told.
  if ((await engine.docker(["volume", "prune", "-af"])).code !== 0) await engine.ok(["volume", "prune", "-f"]);
  await until("all is gone", async () => (await remains()).layers.length === 0);
  ok(names.length > 0, "some lived on");
  deepEqual(await remains(), {
    containers: "",
    volumes: "",
    records: [],
    layers: [],
    runtime: [],
    sandboxes: [],
    cgroups: [],
    links: [],
    published: false,
    monitors: [],
  });
});
