// podman with naru-oci as its runtime: the programs that people will put in front of it, unpacked from Debian's packages.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { debianTree } from "../tools.ts";
import { removeGroup } from "./bundle.ts";
import { buildLauncher } from "./rig.ts";

const naruOci = new URL("../../bin/naru-oci", import.meta.url).pathname;
const libraries = "usr/lib/x86_64-linux-gnu";
// podman starts itself and others anew without the caller's environment, so its libraries have to be where all look: for these
// processes alone, in a mount namespace of their own.
const script = `
mount -t overlay overlay -o lowerdir="$LIBRARIES:/${libraries}" /${libraries}
for step in 1 2 3 4 5 6 7 8 9 10; do eval "command=\\$STEP_$step"; [ -z "$command" ] || (eval "$command"; echo "= $?"); done
`;

test("runs, enters, freezes, watches and ends containers podman --runtime naru-oci", {
  skip: process.arch !== "x64",
}, async () => {
  buildLauncher();
  const tree = await debianTree("podman", ["podman", "busybox-static"]);
  const directory = mkdtempSync(join(tmpdir(), `naru-podman-${process.pid}-`));
  const rootfs = join(directory, "rootfs");
  mkdirSync(join(rootfs, "bin"), { recursive: true });
  mkdirSync(join(rootfs, "x"));
  writeFileSync(join(rootfs, "x", "file"), "from the image\n");
  copyFileSync(join(tree, "bin/busybox"), join(rootfs, "bin", "busybox"));
  for (const name of ["sh", "id", "sleep", "cat", "grep", "readlink"])
    symlinkSync("busybox", join(rootfs, "bin", name));
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
  const cgroup = `/naru-podman-${process.pid}`;
  const run = `p run --network none --cgroup-parent ${cgroup}`;
  const steps = [
    `${run} --rm --rootfs ${rootfs} sh -c 'id -u; grep Seccomp: /proc/self/status; exit 7'`,
    `${run} --rm --rootfs ${rootfs} nowhere 2>&1 | grep -o 'executable file not found'`,
    `${run} --rm --read-only --tmpfs /x --user 5:6 --rootfs ${rootfs} sh -c 'id -g; cat /x/file; echo y > /tmp/y && cat /tmp/y'`,
    `${run} -d --name a --pids-limit 40 --tty --rootfs ${rootfs} sleep 1000 > /dev/null && p exec a cat /sys/fs/cgroup/pids/pids.max`,
    `p exec --tty a readlink /proc/self/fd/0; p exec a sh -c 'exit 5'`,
    `p pause a > /dev/null && p ps -a --format '{{.Status}}' | grep -o Paused; p unpause a > /dev/null; p top a args`,
    `p stop -t 0 a > /dev/null; p ps -a --format '{{.Status}}' | grep -o 'Exited (137)'`,
    `p rm -f a > /dev/null; p ps -aq`,
  ];
  try {
    const { stdout } = spawnSync(
      "unshare",
      ["--mount", "sh", "-c", `p() { timeout 60 ${tree}/usr/bin/podman "$@"; }\n${script}`],
      {
        encoding: "utf8",
        timeout: 300_000,
        env: {
          PATH: process.env["PATH"],
          HOME: directory,
          LIBRARIES: [libraries, "lib/x86_64-linux-gnu"]
            .map((folder) => join(tree, folder))
            .filter((folder) => existsSync(folder))
            .join(":"),
          CONTAINERS_CONF: join(directory, "containers.conf"),
          CONTAINERS_STORAGE_CONF: join(directory, "storage.conf"),
          ...Object.fromEntries(steps.map((step, i) => [`STEP_${i + 1}`, step])),
        },
      },
    );
    assert.deepEqual(
      stdout
        .replaceAll("\r", "")
        .split(/= (\d+)\n/)
        .map((text) => text.trim()),
      [
        ...["0\nSeccomp:\t2", "7"],
        ...["executable file not found", "0"],
        ...["6\nfrom the image\ny", "0"],
        ...["40", "0"],
        ...["/dev/pts/1", "5"],
        ...["Paused\nCOMMAND\nsleep 1000", "0"],
        ...["Exited (137)", "0"],
        ...["", "0"],
        "",
      ],
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
    // conmon's groups stay empty where they were made.
    for (const controller of readdirSync("/sys/fs/cgroup")) removeGroup(`/sys/fs/cgroup/${controller}${cgroup}`);
  }
});
