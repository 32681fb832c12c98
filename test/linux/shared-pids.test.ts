// A pid namespace that containers of a pod share: what they see of each other, what its first process has, and when it ends.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ContainerSpec, Sandbox } from "../../node-agent/runtime/runtime.ts";
import { openRig, type Rig } from "./rig.ts";

const options = { hostname: "pod", hostNetwork: false, sysctls: {}, sharePids: true };

function sharing(sandbox: Sandbox): Pick<ContainerSpec, "namespaces"> {
  return {
    namespaces: [
      { type: "mount" },
      { type: "pid", path: sandbox.pidPath ?? "" },
      { type: "network", path: sandbox.networkPath },
      { type: "ipc", path: sandbox.ipcPath },
      { type: "uts", path: sandbox.utsPath },
    ],
  };
}

/** Pid and start of the namespace's first process, as the launcher noted it. */
function holderOf(rig: Rig): number {
  const text = readFileSync(join(rig.directory, "run", "sandboxes", "pod", "init"), "utf8");
  return Number(text.split(" ")[0]);
}

async function pidIn(rig: Rig, sandbox: Sandbox, id: string): Promise<number> {
  await rig.runtime.create(rig.spec(id, ["stubborn"], sharing(sandbox)));
  return (await rig.runtime.start(id)).pid;
}

const namespaceOf = (pid: number, kind: string) => readlinkSync(`/proc/${pid}/ns/${kind}`);

test("createSandbox with sharePids makes one pid namespace, whose first process has nothing", async () => {
  await using rig = await openRig();
  const sandbox = await rig.runtime.createSandbox("pod", options);
  assert.deepEqual(await rig.runtime.createSandbox("pod", options), sandbox);
  const [a, b] = [await pidIn(rig, sandbox, "a"), await pidIn(rig, sandbox, "b")];
  const holder = holderOf(rig);
  const status = readFileSync(`/proc/${holder}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1];
  assert.deepEqual(
    {
      shared: [a, b, holder].map((pid) => namespaceOf(pid, "pid") === namespaceOf(a, "pid")),
      joined: ["net", "ipc", "uts"].map((kind) => namespaceOf(holder, kind) === namespaceOf(a, kind)),
      ownMounts: namespaceOf(holder, "mnt") !== namespaceOf(process.pid, "mnt"),
      root: readdirSync(`/proc/${holder}/root`),
      files: readdirSync(`/proc/${holder}/fd`).map((fd) => readlinkSync(`/proc/${holder}/fd/${fd}`)),
      user: field("Uid"),
      capabilities: [field("CapPrm"), field("CapEff"), field("CapInh"), field("CapAmb")],
      noNewPrivileges: field("NoNewPrivs"),
      name: readFileSync(`/proc/${holder}/cmdline`, "utf8").replaceAll("\0", ""),
      environment: readFileSync(`/proc/${holder}/environ`, "utf8").replaceAll("\0", ""),
    },
    {
      shared: [true, true, true],
      joined: [true, true, true],
      ownMounts: true,
      root: [],
      files: ["/dev/null", "/dev/null", "/dev/null"],
      user: "65534\t65534\t65534\t65534",
      capabilities: ["0000000000000000", "0000000000000000", "0000000000000000", "0000000000000000"],
      noNewPrivileges: "1",
      name: "naru-pause",
      environment: "",
    },
  );
});

test("removeSandbox ends the namespace's first process, and with it who is left inside", async () => {
  await using rig = await openRig();
  const sandbox = await rig.runtime.createSandbox("pod", options);
  await pidIn(rig, sandbox, "a");
  const holder = holderOf(rig);
  await rig.runtime.removeSandbox("pod");
  const { exitCode } = await rig.runtime.wait("a");
  assert.deepEqual([exitCode, existsSync(`/proc/${holder}/exe`), await rig.runtime.listSandboxes()], [137, false, []]);
});

test("a shared pid namespace outlives its launcher, and the next one ends it", async () => {
  await using rig = await openRig();
  const sandbox = await rig.runtime.createSandbox("pod", options);
  const a = await pidIn(rig, sandbox, "a");
  const holder = holderOf(rig);
  const [, launcher] = await rig.runtime.request("hello", []);
  process.kill(Number(launcher), "SIGKILL");
  const runtime = await rig.reopen();
  const b = await pidIn(rig, await runtime.createSandbox("pod", options), "b");
  const alive = [
    existsSync(`/proc/${a}/exe`),
    holderOf(rig) === holder,
    namespaceOf(a, "pid") === namespaceOf(b, "pid"),
  ];
  await runtime.removeSandbox("pod");
  await Promise.all([runtime.wait("a"), runtime.wait("b")]);
  assert.deepEqual([alive, existsSync(`/proc/${holder}/exe`)], [[true, true, true], false]);
});
