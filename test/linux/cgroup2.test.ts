// The runtime where most users have it: cgroup v2 alone, and the kernel of a distribution, which is older than that of these machines.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInMachine } from "./virtual-machine.ts";

const files = ["runtime", "launcher", "cgroups", "mounts", "attacks", "shared-pids", "users"].map(
  (name) => `test/linux/${name}.test.ts`,
);

test("the runtime passes its tests on cgroup v2", { skip: process.arch !== "x64" }, async () => {
  // Its kernel cannot map users of files in memory yet, which /tmp is.
  const tests = `mkdir /disk; TMPDIR=/disk node --disable-warning=ExperimentalWarning --test --test-reporter=tap --test-isolation=none ${files.join(" ")}`;
  const output = await runInMachine(tests);
  const failures = output.match(/^ *not ok.*(\n +.*)*/gm) ?? [];
  assert.equal(failures.join("\n"), "");
  assert.match(output, /^# fail 0$/m);
  assert.ok(Number(/^# pass (\d+)$/m.exec(output)?.[1]) > files.length, output);
});
