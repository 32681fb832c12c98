// The runtime below a chroot, as in a rescue system or a build root: a container's root must be its mount namespace's root all the same,
// since exec enters the namespace and lands there.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildLauncher } from "./rig.ts";

const project = new URL("../..", import.meta.url).pathname;

// A mount namespace of its own, so that the mounts below the new root end with the command.
const enter =
  'mount --make-rprivate / && mount --rbind / "$0" && cd "$0" && exec chroot . sh -c \'cd "$1" && shift && exec "$@"\' "$@"';

/** What a command prints below a chroot, in the project's folder. */
function belowChroot(command: readonly string[], env: NodeJS.ProcessEnv = process.env): string {
  const root = mkdtempSync(join(tmpdir(), `naru-chroot-${process.pid}-`));
  const { NODE_TEST_CONTEXT: _, ...rest } = env;
  try {
    return execFileSync("unshare", ["--mount", "sh", "-c", enter, root, "-", project, ...command], {
      env: rest,
      encoding: "utf8",
    });
  } finally {
    rmdirSync(root);
  }
}

test("exec stays in the container, and users are mapped, below a chroot", () => {
  const output = belowChroot([
    process.execPath,
    "--test",
    "--test-reporter=tap",
    "--test-name-pattern=^(exec has|root inside is another user)",
    "test/linux/runtime.test.ts",
    "test/linux/users.test.ts",
  ]);
  assert.match(output, /^# pass 2\n# fail 0$/m);
});

test("other runtimes are refused below a chroot, and only there refuseBelowChroot", () => {
  const folder = mkdtempSync(join(tmpdir(), `naru-chroot-${process.pid}-`));
  const runc = join(folder, "runc");
  writeFileSync(runc, "#!/bin/sh\n");
  chmodSync(runc, 0o755);
  const env = { ...process.env, PATH: `${folder}:${process.env["PATH"]}` };
  const command = [process.execPath, "cli/main.ts", "doctor", "-o", "json"];
  const handlersIn = (printed: string) => {
    const lines = JSON.parse(printed) as readonly { readonly name: string; readonly found?: string }[];
    const found = lines.find(({ name }) => name === "runtime handlers")?.found ?? "";
    return found.slice(found.indexOf(runc) + runc.length).split(/, crun|\)$/)[0];
  };
  try {
    const here = execFileSync(command[0] ?? "", command.slice(1), { env, cwd: project, encoding: "utf8" });
    const words = "; not used: this node runs below a chroot, where an exec by it would end in the machine's root";
    // These tests may themselves be below one.
    const alreadyBelow = spawnSync(buildLauncher(), ["below-chroot"]).status;
    assert.deepEqual(
      [handlersIn(belowChroot(command, env)), handlersIn(here)],
      [words, alreadyBelow === 0 ? words : ""],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
