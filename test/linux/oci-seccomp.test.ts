// Filters of naru-oci that leave calls to somebody else: who that is, what is said of the process, and that the answer counts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Bundles, type Config, openBundles } from "./bundle.ts";
import { buildProgram } from "./rig.ts";

const metadata = "of the test";

function listen(bundles: Bundles): { readonly path: string; readonly said: Promise<string> } {
  const path = join(bundles.out, "listener");
  rmSync(path, { force: true });
  const child = spawn(buildProgram("seccomp-listener"), [path, "28"], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  return { path, said: once(child, "close").then(() => text) };
}

function notifying(path: string) {
  return ({ linux }: Config) => {
    linux["seccomp"] = {
      defaultAction: "SCMP_ACT_ALLOW",
      flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
      listenerPath: path,
      listenerMetadata: metadata,
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
    };
  };
}

const denied = "mkdir: can't create directory '/out/new': No space left on device\n";

test("calls are decided by who listens linux.seccomp.listenerPath", async () => {
  using bundles = await openBundles();
  const { path, said } = listen(bundles);
  await bundles.until(() => existsSync(path));
  const script = "mkdir /out/new";
  const bundle = bundles.bundle("n", "sleep 1000", notifying(path));
  await bundles.leave(["create", "--bundle", bundle, "n"]);
  const { pid } = JSON.parse(bundles.oci(["state", "n"]).stdout) as { pid: number };
  bundles.oci(["start", "n"]);
  const first = JSON.parse(await said);
  const again = listen(bundles);
  await bundles.until(() => existsSync(path));
  const exec = bundles.oci(["exec", "n", "sh", "-c", script]);
  const second = JSON.parse(await again.said);
  const state = { ociVersion: "1.3.0", id: "n", bundle };
  assert.deepEqual(
    [first, { ...second, pid: 0 }, exec],
    [
      { ociVersion: "1.3.0", fds: ["seccompFd"], pid, metadata, state: { ...state, status: "created", pid } },
      {
        ociVersion: "1.3.0",
        fds: ["seccompFd"],
        pid: 0,
        metadata,
        state: { ...state, status: "running", pid: second.pid },
      },
      { exitCode: 1, stdout: "", stderr: denied },
    ],
  );
});

test("a filter that cannot be what it says is refused create", async () => {
  using bundles = await openBundles();
  const allow = "SCMP_ACT_ALLOW";
  const refusals: readonly object[] = [
    { defaultAction: allow, flags: ["SECCOMP_FILTER_FLAG_X"] },
    { defaultAction: allow, syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }] },
    { defaultAction: allow, listenerPath: "/x", syscalls: [{ names: ["sendmsg"], action: "SCMP_ACT_NOTIFY" }] },
    { defaultAction: allow, listenerPath: "x" },
    { defaultAction: allow, listenerMetadata: "x" },
    { defaultAction: allow, listenerPath: "/nowhere" },
    { defaultAction: allow, defaultErrnoRet: 1 },
  ];
  const messages = refusals.map((seccomp, i) => {
    const bundle = bundles.bundle(`r${i}`, "true", ({ linux }) => {
      linux["seccomp"] = seccomp;
    });
    return bundles.oci(["create", "--bundle", bundle, "r"]).stderr.replace("naru-oci: ", "").trim();
  });
  assert.deepEqual(messages, [
    "seccomp profile: flags: SECCOMP_FILTER_FLAG_X, known are SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    "seccomp profile: mkdir: SCMP_ACT_NOTIFY needs a listenerPath",
    "seccomp profile: SCMP_ACT_NOTIFY cannot be for sendmsg, which hands the listener over",
    "linux.seccomp.listenerPath: an absolute path is expected",
    "linux.seccomp.listenerMetadata: is for a listenerPath, and there is none",
    "connect to seccomp listener /nowhere: no such file or directory",
    "seccomp profile: defaultAction: SCMP_ACT_ALLOW gives no error number",
  ]);
});
