// A container's spec that asks for a little of everything: what golden files of plans are made from.
import { defaultCapabilities, defaultMaskedPaths, defaultReadonlyPaths } from "./defaults.ts";
import type { ContainerSpec } from "./runtime.ts";

export const sampleSpec: ContainerSpec = {
  id: "web-0",
  labels: {},
  args: ["/bin/web", "--port", "80"],
  env: ["PATH=/bin", "A=1"],
  cwd: "/srv",
  user: { uid: 1000, gid: 1000, additionalGids: [5] },
  terminal: false,
  stdin: false,
  hostname: "unused",
  rootfs: {
    destination: "/",
    type: "overlay",
    source: "overlay",
    options: ["lowerdir=/l1:/l2", "upperdir=/u", "workdir=/w", "volatile"],
  },
  readonlyRootfs: true,
  mounts: [
    { destination: "/data/deep", type: "bind", source: "/volumes/a", options: ["rbind", "ro", "nosuid"] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["size=1m"] },
    { destination: "/sub", type: "bind", source: "/volumes/a", subPath: "x/y", options: ["bind", "rro"] },
    { destination: "/host", type: "bind", source: "/mnt", options: ["rbind", "rslave"] },
    { destination: "/proc/meminfo", type: "bind", source: "/lxcfs/meminfo", options: ["bind"] },
  ],
  namespaces: [
    { type: "pid" },
    { type: "mount" },
    { type: "cgroup" },
    { type: "network", path: "/run/s/net" },
    { type: "uts", path: "/run/s/uts" },
  ],
  cgroupPath: "pod1/web-0",
  resources: { memoryBytesMax: 1 << 20, oomScoreAdj: 500 },
  capabilities: defaultCapabilities,
  noNewPrivileges: true,
  privileged: false,
  seccomp: "default",
  maskedPaths: defaultMaskedPaths.slice(0, 2),
  readonlyPaths: defaultReadonlyPaths.slice(0, 1),
  sysctls: { "net.core.somaxconn": "1024" },
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: -1 }],
  logPath: "/logs/web.log",
};
