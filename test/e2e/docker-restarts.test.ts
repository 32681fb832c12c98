// What survives: containers and their records over restarts and kills of the agent, restart policies, the node's end.
import { deepEqual, equal, ok } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type DockerEngine, startDocker } from "./docker-engine.ts";
import { processesOf } from "./remains.ts";

let engine: DockerEngine;
before(async () => {
  engine = await startDocker();
});
after(() => engine[Symbol.asyncDispose]());

const inspect = (name: string, format: string) => engine.ok(["inspect", "-f", format, name]);

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds().catch(() => false)); tries++) {
    ok(tries < 600, `${what} within some seconds`);
    await sleep(50);
  }
}

/** Kills the agent's process alone; `naru up` starts it again. */
async function killAgent(): Promise<void> {
  const isAgent = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("agent");
  const pids = processesOf(engine.cluster.place, "node-1").filter((pid) => {
    try {
      return isAgent(pid);
    } catch {
      return false;
    }
  });
  equal(pids.length, 1, "one agent");
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await until(
    "the agent is back",
    async () =>
      (await engine.docker(["version"])).code === 0 &&
      !pids.includes(processesOf(engine.cluster.place, "node-1").find(isAgent) ?? 0),
  );
}

test("on-failure starts again so often, and then no more", async () => {
  const script = "echo run >> /counted; exit 3";
  await engine.ok(["run", "-d", "--name", "failing", "--restart", "on-failure:3", "busybox", "sh", "-c", script]);
  await until(
    "it has given up",
    async () => (await inspect("failing", "{{.RestartCount}} {{.State.Status}}")) === "3 exited",
  );
  deepEqual(
    [await inspect("failing", "{{.State.ExitCode}}"), (await engine.ok(["diff", "failing"])).includes("A /counted")],
    ["3", true],
  );
  const out = await engine.ok(["cp", "failing:/counted", "-"]);
  equal(out.split("run\n").length - 1, 4);
  await engine.ok(["rm", "failing"]);
});

test("always starts again, until someone stops it", async () => {
  await engine.ok(["run", "-d", "--name", "steady", "--restart", "always", "busybox", "sh", "-c", "sleep 0.2"]);
  await until("it started again", async () => Number(await inspect("steady", "{{.RestartCount}}")) >= 2);
  await engine.ok(["stop", "steady"]);
  const count = await inspect("steady", "{{.RestartCount}}");
  await sleep(500);
  deepEqual(
    [await inspect("steady", "{{.State.Status}}"), await inspect("steady", "{{.RestartCount}}")],
    ["exited", count],
  );
  await engine.ok(["rm", "steady"]);
});

test("a kill of the agent disturbs no container, and all is known afterwards", async () => {
  await engine.ok(["network", "create", "--subnet", "10.78.0.0/24", "lasting"]);
  await engine.ok([
    "run",
    "-d",
    "--name",
    "running",
    "--network",
    "lasting",
    "-p",
    "18090:80",
    "busybox",
    "sh",
    "-c",
    "echo first words; sleep 3; echo later words; exec sleep 1000",
  ]);
  await engine.ok(["run", "-d", "--name", "paused", "busybox", "sleep", "1000"]);
  await engine.ok(["pause", "paused"]);
  await engine.docker(["run", "--name", "ended", "busybox", "sh", "-c", "exit 5"]);
  await engine.ok(["create", "--name", "made", "busybox", "true"]);
  await engine.ok([
    "run",
    "-d",
    "--name",
    "ends-meanwhile",
    "--restart",
    "unless-stopped",
    "busybox",
    "sh",
    "-c",
    "sleep 1; echo again",
  ]);
  await engine.ok(["run", "-d", "--name", "was-stopped", "--restart", "unless-stopped", "busybox", "sleep", "1000"]);
  await engine.ok(["stop", "-t", "0", "was-stopped"]);
  const facts = () =>
    inspect("running", '{{.State.Pid}} {{.State.StartedAt}} {{(index .NetworkSettings.Networks "lasting").IPAddress}}');
  const before = await facts();
  await killAgent();
  const states = await engine.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
  equal(await facts(), before);
  deepEqual(
    states
      .split("\n")
      .filter((line) => !line.startsWith("ends-"))
      .toSorted(),
    ["ended exited", "made created", "paused paused", "running running", "was-stopped exited"],
  );
  await until("later words", async () => (await engine.ok(["logs", "running"])) === "first words\nlater words");
  await until("what ended meanwhile runs again", async () =>
    (await engine.ok(["logs", "ends-meanwhile"])).startsWith("again\nagain"),
  );
  await engine.ok(["unpause", "paused"]);
  const taken = await engine.docker(["run", "--rm", "--network", "lasting", "--ip", "10.78.0.2", "busybox", "true"]);
  const neighbour = await engine.docker([
    "run",
    "--rm",
    "--network",
    "lasting",
    "busybox",
    "ping",
    "-c1",
    "-W2",
    "running",
  ]);
  deepEqual([taken.code, neighbour.code, await inspect("ended", "{{.State.ExitCode}}")], [125, 0, "5"]);
});

test("a container of no policy that died with its monitor is known to have ended", async () => {
  await engine.ok(["run", "-d", "--name", "orphan", "busybox", "sleep", "1000"]);
  const id = await inspect("orphan", "{{.Id}}");
  const monitors = readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`naru-monitor ${id}`);
    } catch {
      return false;
    }
  });
  equal(monitors.length, 1);
  process.kill(Number(monitors[0]), "SIGKILL");
  await until(
    "its end is seen",
    async () => (await inspect("orphan", "{{.State.Status}} {{.State.ExitCode}}")) === "exited 137",
  );
});

test("--rm containers of a killed agent leave nothing", async () => {
  await engine.ok(["run", "-d", "--rm", "--name", "passing", "-v", "/scratch", "busybox", "sleep", "2"]);
  const volumes = await engine.ok(["volume", "ls", "-q"]);
  await killAgent();
  await until("it is gone", async () => (await engine.docker(["inspect", "passing"])).code !== 0);
  deepEqual([volumes === "", await engine.ok(["volume", "ls", "-q"])], [false, ""]);
});

test("pods and containers leave each other alone", async () => {
  const pods = await engine.cluster.kubectl("new", [
    "run",
    "pod",
    "--image",
    "docker.io/library/busybox:latest",
    "--image-pull-policy",
    "Never",
    "--command",
    "--",
    "sleep",
    "1000",
  ]);
  equal(pods.code, 0);
  await engine.cluster.kubectl("new", ["wait", "--for=condition=Ready", "pod/pod", "--timeout=20s"]);
  const seen = await engine.ok(["ps", "-a", "--format", "{{.Names}}"]);
  await engine.cluster.kubectl("new", ["delete", "pod", "pod", "--wait"]);
  deepEqual([/pod/.test(seen), await inspect("running", "{{.State.Running}}")], [false, "true"]);
});
