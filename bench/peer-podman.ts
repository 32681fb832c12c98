// podman: no daemon, but conmon beside every container.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "./container-place.ts";
import { command, commandThatLeaves, findProgram, type OpenPeer } from "./peer.ts";

export const openPodman: OpenPeer = async ({ folder, rootfs, cgroup }) => {
  const [podman, conmon, runtime] = [
    findProgram("podman"),
    findProgram("conmon"),
    findProgram("crun") ?? findProgram("runc"),
  ];
  if (podman === undefined || conmon === undefined || runtime === undefined) return undefined;
  const config = join(folder, "containers.conf");
  writeFileSync(config, `[engine]\nconmon_path = ["${conmon}"]\n`);
  const env = { ...process.env, CONTAINERS_CONF: config };
  const options = [
    ...["--root", join(folder, "root"), "--runroot", join(folder, "run"), "--tmpdir", join(folder, "tmp")],
    ...["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", runtime, "--conmon", conmon],
  ];
  const call = (...args: readonly string[]) => command(podman, [...options, ...args], { env });
  // Limits of open files as they are: it would raise them to more than this machine may allow.
  const alike = [
    "--network",
    "none",
    "--cgroup-parent",
    `/${cgroup}`,
    "--ulimit",
    "nofile=1024:1024",
    "--ulimit",
    "nproc=1024:1024",
  ];
  const run = (id: string, how: "--rm" | "--detach", ...args: readonly string[]) => [
    ...["run", "--name", id, how, ...alike, "--rootfs", `${rootfs}:O`, program, ...args],
  ];
  return {
    name: "podman",
    run: async (id) => void (await call(...run(id, "--rm"))),
    start: (id) => commandThatLeaves(podman, [...options, ...run(id, "--detach", "on")], env),
    exec: async (id) => void (await call("exec", id, program)),
    remove: async (id) => void (await call("rm", "--force", "--time", "0", id)),
    helperMark: `\0-n\0naru-bench-${process.pid}-`,
    [Symbol.asyncDispose]: async () => {},
  };
};
