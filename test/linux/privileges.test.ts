// What our own processes keep while they read what strangers wrote: looked up in /proc, as the kernel sees it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHelper } from "../../node-agent/images/helper.ts";
import { readStatus } from "../../node-agent/runtime/container-directory.ts";
import { openBundles } from "./bundle.ts";
import { buildLauncher, openRig } from "./rig.ts";

const [kill, none] = ["0000000000000020", "0000000000000000"];

interface Kept {
  readonly capabilities: string;
  readonly user: string;
  readonly noNewPrivileges: boolean;
  readonly filtered: boolean;
}

function keptBy(pid: number): Kept {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
  const capabilities = [...new Set(["CapPrm", "CapEff", "CapInh", "CapAmb"].map(field))].filter(
    (set, i) => i === 0 || set !== none,
  );
  return {
    capabilities: capabilities.join(),
    user: field("Uid"),
    noNewPrivileges: field("NoNewPrivs") === "1",
    filtered: field("Seccomp") === "2",
  };
}

/** Once it has them no more. */
async function settled(pid: number): Promise<Kept> {
  for (let tries = 0; tries < 500 && !keptBy(pid).noNewPrivileges; tries++) await sleep(10);
  return keptBy(pid);
}

test("a monitor keeps the power to kill, and the container's process nothing of the host's files supervise", async () => {
  await using rig = await openRig();
  await rig.runtime.create(rig.spec("a", ["sleep"]));
  await rig.runtime.start("a");
  const { process: first, monitor } = readStatus(join(rig.options.stateDir, "containers", "a")) ?? {};
  const files = readdirSync(`/proc/${first?.pid}/fd`).map((fd) => readlinkSync(`/proc/${first?.pid}/fd/${fd}`));
  assert.deepEqual(
    [await settled(monitor?.pid ?? 0), files.map((name) => name.replace(/:\[\d+\]$/, ""))],
    [{ capabilities: kill, user: "0", noNewPrivileges: true, filtered: false }, ["/dev/null", "pipe", "pipe"]],
  );
});

test("naru-oci's launcher keeps nothing while it stays once", async () => {
  using bundles = await openBundles();
  const bundle = bundles.bundle("a", "read -r line");
  const child = spawn(process.execPath, bundles.command(["run", "--bundle", bundle, "a"]), {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  await bundles.until(() => bundles.status("a") === "running");
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
  const kept = await settled(Number(children[0]));
  child.stdin?.end("\n");
  assert.deepEqual([kept, await ended], [{ capabilities: none, user: "0", noNewPrivileges: true, filtered: false }, 0]);
});

test("who moves a port's bytes is nobody netns-connect", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const child = spawn(buildLauncher(), ["netns-connect", "/proc/self/ns/net", String(port)], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const kept = await settled(child.pid ?? 0);
  child.stdin.end();
  server.close();
  child.kill();
  assert.deepEqual(kept, { capabilities: none, user: "65534", noNewPrivileges: true, filtered: false });
});

test("naru-unpack reads tars with few capabilities, few system calls and its folder for a root unpack, write, probe", async () => {
  await using rig = await openRig();
  const folder = join(rig.directory, "layer");
  mkdirSync(folder);
  const outcomes = [];
  for (const args of [["unpack", folder, "1000", "10", "-"], ["write", `dir:${folder}`, "", "0", ""], ["probe"]]) {
    const { child, done } = startHelper(args);
    const pid = child.pid ?? 0;
    const kept = await settled(pid);
    const root = readdirSync(`/proc/${pid}/root/`);
    child.stdin?.end();
    await done.catch(() => {});
    outcomes.push([args[0], kept, root]);
  }
  const confined = { user: "0", noNewPrivileges: true, filtered: true };
  // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP, and SYS_ADMIN for overlayfs' attributes.
  const writing = "000000008820001b";
  assert.deepEqual(outcomes, [
    ["unpack", { capabilities: writing, ...confined }, []],
    ["write", { capabilities: writing, ...confined }, ["0", "1"]],
    ["probe", { capabilities: none, ...confined }, ["0", "1"]],
  ]);
});
