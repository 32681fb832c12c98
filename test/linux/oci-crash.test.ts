// naru-oci killed at any moment of what it does, and its launcher: `delete --force`, which its callers call then, leaves nothing behind.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bundles, openBundles } from "./bundle.ts";

const momentsMax = 24;

/** Starts a command, and sends SIGKILL to it or to its launcher after a while. Resolves when it is gone. */
async function killDuring(bundles: Bundles, args: readonly string[], who: "naru-oci" | "launcher", afterMs: number) {
  const child = spawn(process.execPath, bundles.command(args), { stdio: "ignore", env: bundles.env });
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  await Promise.race([sleep(afterMs), ended]);
  if (who === "naru-oci") child.kill("SIGKILL");
  else for (const pid of childrenOf(child.pid)) killIfThere(pid);
  await ended;
}

function childrenOf(pid: number | undefined): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text
      .split(" ")
      .filter((word) => word !== "")
      .map(Number);
  } catch {
    return [];
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Processes in the bundles' cgroups, and launchers of theirs. */
function processesOf({ cgroup }: Bundles): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(cgroup);
    } catch {
      return false;
    }
  });
}

function cgroupsOf({ cgroup }: Bundles, id: string): readonly string[] {
  return ["", ...readdirSync("/sys/fs/cgroup")].filter((tree) => existsSync(`/sys/fs/cgroup/${tree}${cgroup}/${id}`));
}

async function measure(run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}

for (const who of ["naru-oci", "launcher"] as const)
  test(`a kill of ${who} at any moment leaves nothing behind create, start, run, exec, delete`, async () => {
    using bundles = await openBundles();
    const bundle = bundles.bundle("a", "sleep 1000");
    const create = ["create", "--bundle", bundle, "a"];
    const wholeMs = await measure(() => bundles.leave(create));
    bundles.oci(["delete", "--force", "a"]);
    const left: string[] = [];
    const words = new Set<string>();
    for (let i = 0; i < momentsMax; i++) {
      const moment = (wholeMs * i) / momentsMax;
      const started = i % 2 === 0 ? create : ["run", "--detach", "--bundle", bundle, "a"];
      await killDuring(bundles, started, who, moment);
      if (i % 4 === 0) await killDuring(bundles, ["start", "a"], who, moment);
      if (i % 4 === 1) await killDuring(bundles, ["exec", "--detach", "a", "sleep", "1000"], who, moment);
      if (i % 4 === 2) await killDuring(bundles, ["delete", "--force", "a"], who, moment);
      const { exitCode, stderr } = bundles.oci(["delete", "--force", "a"]);
      words.add(`${exitCode} ${stderr}`);
      for (let tries = 0; tries < 200 && processesOf(bundles).length > 0; tries++) await sleep(10);
      const rest = [...readdirSync(bundles.root), ...processesOf(bundles), ...cgroupsOf(bundles, "a")];
      if (rest.length > 0) left.push(`${started[0]} after ${moment} ms: ${rest.join()}`);
    }
    // The same name can be used again.
    const again = await bundles.leave(create);
    assert.deepEqual([left, [...words], again.exitCode], [[], ["0 "], 0], again.stdout);
  });
