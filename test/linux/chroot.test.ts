// The runtime below a chroot, as in a rescue system or a build root: a container's root must be its mount namespace's root all the same,
// since exec enters the namespace and lands there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const project = new URL("../..", import.meta.url).pathname;

test("exec stays in the container, and users are mapped, below a chroot", () => {
  const root = mkdtempSync(join(tmpdir(), `naru-chroot-${process.pid}-`));
  // A mount namespace of its own, so that the mounts below the new root end with the command.
  const enter =
    'mount --make-rprivate / && mount --rbind / "$0" && cd "$0" && exec chroot . sh -c \'cd "$1" && shift && exec "$@"\' "$@"';
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const tests = [
    process.execPath,
    "--test",
    "--test-reporter=tap",
    "--test-name-pattern=^(exec has|root inside is another user)",
    "test/linux/runtime.test.ts",
    "test/linux/users.test.ts",
  ];
  try {
    const output = execFileSync("unshare", ["--mount", "sh", "-c", enter, root, "-", project, ...tests], {
      env,
      encoding: "utf8",
    });
    assert.match(output, /^# pass 2\n# fail 0$/m);
  } finally {
    rmdirSync(root);
  }
});
