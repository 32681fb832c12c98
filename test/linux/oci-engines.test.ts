// containerd and docker's engine with naru-oci as their runtime: a day in a container's life by their own clients.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { naruOci, openEngine } from "./engine.ts";

const packages = ["docker.io", "containerd", "runc"];
const skip = process.arch !== "x64";

test("runs, enters, freezes and ends containers containerd", { skip }, async () => {
  using engine = await openEngine("engines", packages);
  const { folder, rootfs, cgroup } = engine;
  const disabled = ["grpc.v1.cri", ...["aufs", "btrfs", "devmapper", "zfs"].map((name) => `snapshotter.v1.${name}`)];
  writeFileSync(
    join(folder, "config.toml"),
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ${JSON.stringify(disabled.map((name) => `io.containerd.${name}`))}
[grpc]
address = "${folder}/socket"
[ttrpc]
address = "${folder}/socket.ttrpc"
`,
  );
  const ctr = `timeout 60 ctr --address ${folder}/socket`;
  const run = (id: string, options: string, program: string) =>
    `${ctr} run --runc-binary ${naruOci} ${options} --cgroup /${cgroup}/${id} --rootfs ${rootfs} ${id} ${program}`;
  const steps = [
    run("one", "--rm", "sh -c 'id -u; exit 7'"),
    `${run("none", "--rm", "nowhere")} 2>&1 | grep -o 'executable file not found'`,
    `${run("on", "--detach", "sleep 1000")} && ${ctr} task exec --exec-id x on sh -c 'readlink /proc/self/cwd; exit 5'`,
    `${ctr} task pause on && ${ctr} task ls | grep -o PAUSED && ${ctr} task resume on && ${ctr} task ls | grep -o RUNNING`,
    `${ctr} task ps on | grep -c '^[0-9]'`,
    `${ctr} task metrics on | grep -c memory`,
    `${ctr} task kill --signal KILL on; sleep 1; ${ctr} task delete on 2> /dev/null; ${ctr} container delete on; ${ctr} container ls -q`,
  ];
  assert.deepEqual(
    engine.run(steps, { daemon: { command: `containerd --config ${folder}/config.toml`, ready: `${ctr} version` } }),
    [
      ...["0", "7"],
      ...["executable file not found", "0"],
      ...["/", "5"],
      ...["PAUSED\nRUNNING", "0"],
      ...["1", "0"],
      ...["3", "0"],
      ...["", "0"],
      "",
    ],
  );
});

test("runs, enters, freezes, limits and ends containers docker's engine", { skip }, async () => {
  using engine = await openEngine("engines", packages);
  const { folder, rootfs, cgroup } = engine;
  const docker = `timeout 60 docker --host unix://${folder}/socket`;
  const command = [
    `dockerd --host unix://${folder}/socket --data-root ${folder}/root --exec-root ${folder}/run --pidfile ${folder}/pid`,
    `--cgroup-parent /${cgroup} --exec-opt native.cgroupdriver=cgroupfs --iptables=false --bridge=none --storage-driver=vfs`,
    `--add-runtime naru=${naruOci} --default-runtime naru`,
  ].join(" ");
  const run = `${docker} run --network none`;
  const steps = [
    `tar -C ${rootfs} -c . | ${docker} import - busybox > /dev/null; ${docker} info --format '{{.DefaultRuntime}}'`,
    `${run} --rm busybox sh -c 'id -u; grep Seccomp: /proc/self/status; exit 7'`,
    `${run} --rm busybox nowhere 2>&1 | grep -o 'executable file not found'`,
    `${run} --rm busybox nowhere > /dev/null 2>&1`,
    `${run} --rm --read-only --tmpfs /tmp --user 5:6 --cap-drop ALL busybox sh -c 'id -g; grep CapBnd /proc/self/status; echo y > /tmp/y && cat /tmp/y'`,
    `${run} -d --name one --tty --pids-limit 40 busybox sleep 1000 > /dev/null; ${docker} exec one cat /sys/fs/cgroup/pids/pids.max`,
    `${docker} exec --tty one readlink /proc/self/fd/0; ${docker} exec one sh -c 'exit 5'`,
    `${docker} pause one > /dev/null; ${docker} ps --format '{{.Status}}' | grep -o Paused; ${docker} unpause one > /dev/null; ${docker} top one -o pid,args | grep -o 'sleep 1000'`,
    `${docker} update --pids-limit 50 --memory 64m --memory-swap 64m one > /dev/null; ${docker} exec one cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes`,
    `${docker} stop -t 0 one > /dev/null; ${docker} ps -a --format '{{.Status}}' | grep -o 'Exited (137)'`,
    `${docker} start one > /dev/null; ${docker} inspect --format '{{.State.Running}}' one; ${docker} rm -f one > /dev/null; ${docker} ps -aq`,
  ];
  assert.deepEqual(engine.run(steps, { daemon: { command, ready: `${docker} version` } }), [
    ...["naru", "0"],
    ...["0\nSeccomp:\t2", "7"],
    ...["executable file not found", "0"],
    ...["", "127"],
    ...["6\nCapBnd:\t0000000000000000\ny", "0"],
    ...["40", "0"],
    ...["/dev/pts/1", "5"],
    ...["Paused\nsleep 1000", "0"],
    ...["50\n67108864", "0"],
    ...["Exited (137)", "0"],
    ...["true", "0"],
    "",
  ]);
});
