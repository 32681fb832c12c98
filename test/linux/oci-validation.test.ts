// The standard's own validation programs (opencontainers/runtime-tools) against naru-oci. Debian packages their libraries without the
// programs, so they are built by hand (`make runtimetest validation-executables`) and named: NARU_OCI_VALIDATION=/path/to/runtime-tools.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildLauncher } from "./rig.ts";

const tools = process.env["NARU_OCI_VALIDATION"];
const naruOci = new URL("../../bin/naru-oci", import.meta.url).pathname;
const programMsMax = 120_000;

/** Failures that are as they should be, and why. */
const known: Readonly<Record<string, readonly [failure: RegExp, why: string]>> = {
  delete_resources: [/pids limit/, "compares addresses of numbers, not numbers"],
  linux_cgroups_pids: [/pids limit/, "compares addresses of numbers, not numbers"],
  linux_cgroups_relative_pids: [/pids limit/, "compares addresses of numbers, not numbers"],
  hooks_stdin: [/"prestart"/, "wants prestart hooks to hear `created` while the container is being created"],
  linux_cgroups_memory: [/memory kernel/, "wants limits of the kernel's memory, gone since Linux 5.16"],
  linux_cgroups_relative_memory: [/memory kernel/, "wants limits of the kernel's memory, gone since Linux 5.16"],
  linux_cgroups_blkio: [/exit status/, "wants leaf weights, gone since Linux 5.0"],
  linux_cgroups_relative_blkio: [/exit status/, "wants leaf weights, gone since Linux 5.0"],
  linux_cgroups_hugetlb: [/exit status|relative to the cgroups/, "refused on machines without the controller"],
  linux_cgroups_relative_hugetlb: [/exit status/, "refused on machines without the controller"],
  linux_cgroups_network: [/exit status/, "refused on machines without the controllers"],
  linux_cgroups_relative_network: [/exit status/, "refused on machines without the controllers"],
  linux_mount_label: [/exit status/, "SELinux is refused"],
  linux_process_apparmor_profile: [/exit status/, "AppArmor is refused"],
  linux_ns_itype: [/exit status/, "wants containers without a mount namespace, which are refused"],
  misc_props: [/unknown annotation key/, "runs a program that it does not put into the container"],
  mounts: [/exit status/, "gives bind mounts options of file systems, which are refused"],
  pidfile: [/--pid-file/, "kills a program that has ended by itself"],
  process_capabilities: [/CAP_SYS_RESOURCE/, "wants a capability that the machine may lack"],
  process_capabilities_fail: [/MUST cause an error/, "of unknown ones the specification wants a warning"],
  process_rlimits: [/soft RLIMIT_NOFILE/, "Go programs raise it as they start"],
  start: [
    /`process` was not set|timeout/,
    "wants a start without `process` to succeed, which the specification forbids",
  ],
};

test("naru-oci passes the standard's validation", {
  skip: tools === undefined && "no validation programs",
}, async (t) => {
  buildLauncher();
  const folder = mkdtempSync(join(tmpdir(), `naru-validation-${process.pid}-`));
  const programs = readdirSync(join(tools ?? "", "validation")).filter((name) => existsSync(pathOf(name)));
  for (const name of programs) await t.test(name, () => assert.deepEqual(failuresOf(name, folder), []));
  // Those that fail leave their containers.
  const left = spawnSync(naruOci, ["list", "--quiet"], { encoding: "utf8" }).stdout.split("\n");
  for (const id of left.filter((line) => isOurs(line))) spawnSync(naruOci, ["delete", "--force", id]);
  rmSync(folder, { recursive: true, force: true });
  assert.ok(programs.length > 50, `${programs.length} programs`);
});

/** They name containers by UUIDs. */
function isOurs(id: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
}

function pathOf(name: string): string {
  return join(tools ?? "", "validation", name, `${name}.t`);
}

function failuresOf(name: string, folder: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync(pathOf(name), [], {
    cwd: tools,
    encoding: "utf8",
    timeout: programMsMax,
    env: { ...process.env, RUNTIME: naruOci, TMPDIR: folder },
  });
  const failed = stdout.split("\n").filter((line) => /^\s*not ok/.test(line));
  const all = status === 0 ? failed : [...failed, `ends with ${status}: ${stderr.trim()}`];
  return all.filter((failure) => !known[name]?.[0].test(failure));
}
