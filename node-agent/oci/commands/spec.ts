// naru-oci spec: a config.json to begin with.
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  defaultCapabilities,
  defaultMaskedPaths,
  defaultMounts,
  defaultReadonlyPaths,
} from "../../runtime/defaults.ts";
import { optionValue } from "../arguments.ts";
import type { Command } from "../command.ts";
import { ociVersion } from "../state.ts";

export const specCommand: Command = {
  name: "spec",
  usage: "spec [--bundle <directory>]",
  help: "write a config.json that can be edited",
  options: [{ name: "bundle", short: "b", value: "directory", help: "where to (this directory)" }],
  run(args) {
    const path = join(resolve(optionValue(args, "bundle") ?? "."), "config.json");
    if (existsSync(path)) throw new Error(`${path} exists already`);
    writeFileSync(path, `${JSON.stringify(specimen(), undefined, 2)}\n`);
    return 0;
  },
};

/** A shell in a root file system beside it, confined as a pod's container is. */
export function specimen(): object {
  const capabilities = Object.fromEntries(
    ["bounding", "effective", "permitted"].map((name) => [name, defaultCapabilities]),
  );
  return {
    ociVersion,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      capabilities,
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "naru",
    mounts: [
      ...defaultMounts,
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "ro"] },
    ],
    linux: {
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
      maskedPaths: defaultMaskedPaths,
      readonlyPaths: defaultReadonlyPaths,
    },
  };
}
