// podman with naru-oci as its runtime.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { naruOci, openEngine } from "./engine.ts";

test("runs, enters, freezes, watches and ends containers podman --runtime naru-oci", {
  skip: process.arch !== "x64",
}, async () => {
  using engine = await openEngine("podman", ["podman", "busybox-static"]);
  const { tree, folder: directory, rootfs, cgroup } = engine;
  mkdirSync(join(rootfs, "x"));
  writeFileSync(join(rootfs, "x", "file"), "from the image\n");
  writeFileSync(
    join(directory, "containers.conf"),
    `[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
conmon_path = ["${tree}/usr/bin/conmon"]
tmp_dir = "${directory}/tmp"
runtime = "naru"
[engine.runtimes]
naru = ["${naruOci}"]
[containers]
apparmor_profile = ""
seccomp_profile = "${tree}/usr/share/containers/seccomp.json"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
`,
  );
  writeFileSync(
    join(directory, "storage.conf"),
    `[storage]\ndriver = "vfs"\ngraphroot = "${directory}/storage"\nrunroot = "${directory}/run"\n`,
  );
  const p = `timeout 60 ${tree}/usr/bin/podman`;
  const run = `${p} run --network none --cgroup-parent /${cgroup}`;
  const steps = [
    `${run} --rm --rootfs ${rootfs} sh -c 'id -u; grep Seccomp: /proc/self/status; exit 7'`,
    `${run} --rm --rootfs ${rootfs} nowhere 2>&1 | grep -o 'executable file not found'`,
    `${run} --rm --read-only --tmpfs /x --user 5:6 --rootfs ${rootfs} sh -c 'id -g; cat /x/file; echo y > /tmp/y && cat /tmp/y'`,
    `${run} -d --name a --pids-limit 40 --tty --rootfs ${rootfs} sleep 1000 > /dev/null && ${p} exec a cat /sys/fs/cgroup/pids/pids.max`,
    `${p} exec --tty a readlink /proc/self/fd/0; ${p} exec a sh -c 'exit 5'`,
    `${p} pause a > /dev/null && ${p} ps -a --format '{{.Status}}' | grep -o Paused; ${p} unpause a > /dev/null; ${p} top a args`,
    `${p} stop -t 0 a > /dev/null; ${p} ps -a --format '{{.Status}}' | grep -o 'Exited (137)'`,
    `${p} rm -f a > /dev/null; ${p} ps -aq`,
  ];
  const env = {
    CONTAINERS_CONF: join(directory, "containers.conf"),
    CONTAINERS_STORAGE_CONF: join(directory, "storage.conf"),
  };
  assert.deepEqual(engine.run(steps, { env }), [
    ...["0\nSeccomp:\t2", "7"],
    ...["executable file not found", "0"],
    ...["6\nfrom the image\ny", "0"],
    ...["40", "0"],
    ...["/dev/pts/1", "5"],
    ...["Paused\nCOMMAND\nsleep 1000", "0"],
    ...["Exited (137)", "0"],
    ...["", "0"],
    "",
  ]);
});
