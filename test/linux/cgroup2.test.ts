// The runtime where most users have it: cgroup v2 alone, and the kernel of a distribution, which is older than that of these machines.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ociLibraries, ociNames, ociTree } from "../oci-programs.ts";
import { debianProgram } from "../tools.ts";
import { librariesOf, runInMachine } from "./virtual-machine.ts";

const files = ["runtime", "launcher", "cgroups", "mounts", "attacks", "shared-pids", "users"].map(
  (name) => `test/linux/${name}.test.ts`,
);

// Its kernel cannot map users of files in memory yet, which /tmp is.
const command = (tests: readonly string[], pattern = ".") =>
  `mkdir /disk; TMPDIR=/disk node --disable-warning=ExperimentalWarning --test --test-name-pattern='${pattern}' --test-reporter=tap --test-isolation=none ${tests.join(" ")}`;

test("the runtime passes its tests on cgroup v2", { skip: process.arch !== "x64" }, async () => {
  // Huge pages are its own to give, unlike those of the machine that runs this.
  const output = await runInMachine(`echo 8 > /proc/sys/vm/nr_hugepages; ${command(files)}`);
  checkOutput(output, files.length);
  assert.match(output, /^ok \d+ - a container gets as many huge pages as it may, and no more start$/m);
});

for (const name of ociNames)
  test(`${name}'s containers pass theirs there`, { skip: process.arch !== "x64" }, async () => {
    const { tree, programs } = await ociTree();
    const env = { ...process.env, LD_LIBRARY_PATH: ociLibraries(tree) };
    const libraries = await librariesOf(programs[name], env);
    const output = await runInMachine(command(["test/linux/oci-runtimes.test.ts"], `^${name}:`), {
      parts: [".cache/tools/with-oci"],
      files: libraries.filter((path) => !path.startsWith(tree)),
    });
    checkOutput(output, 20);
  });

test("naru-oci's containers pass theirs there", { skip: process.arch !== "x64" }, async () => {
  await debianProgram("busybox-static", "bin/busybox");
  // A few: each command of naru-oci starts Node, which takes seconds in an emulated machine.
  const pattern = "limits hold|finds below|are allowed|like any other|others on the host";
  const output = await runInMachine(
    command(["test/linux/oci-cgroups.test.ts", "test/linux/oci-users.test.ts"], pattern),
    {
      parts: [".cache/tools/busybox-static"],
    },
  );
  checkOutput(output, 4);
});

test("AppArmor holds containers there", { skip: process.arch !== "x64" }, async () => {
  await debianProgram("apparmor", "sbin/apparmor_parser");
  const { programs } = await ociTree();
  const tools = ".cache/tools";
  const prepare = `mount -t securityfs securityfs /sys/kernel/security; mkdir -p /sbin; cp ${tools}/apparmor/sbin/apparmor_parser /sbin/`;
  const output = await runInMachine(`${prepare}; ${command(["test/linux/apparmor.test.ts"])}`, {
    parts: [`${tools}/apparmor/sbin`, `${tools}/with-oci`],
    files: await librariesOf(programs.runc),
  });
  checkOutput(output, 1);
  assert.match(output, /^# skipped 0$/m);
});

function checkOutput(output: string, passedMin: number): void {
  const failures = output.match(/^ *not ok.*(\n +.*)*/gm) ?? [];
  assert.equal(failures.join("\n"), "");
  assert.match(output, /^# fail 0$/m);
  assert.ok(Number(/^# pass (\d+)$/m.exec(output)?.[1]) > passedMin, output);
}
