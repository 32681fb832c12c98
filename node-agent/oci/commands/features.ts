// naru-oci features: what it can do, for programs. Source: OCI runtime specification 1.2, features.md.
import { capabilityNames } from "../../runtime/defaults.ts";
import { mountOptionNames } from "../../runtime/mount-options.ts";
import { seccompNames } from "../../runtime/seccomp-profile.ts";
import type { Command } from "../command.ts";
import { hookNames } from "../config.ts";
import { ociVersion } from "../state.ts";

export const featuresCommand: Command = {
  name: "features",
  usage: "features",
  help: "print what naru-oci supports, as JSON",
  options: [],
  run() {
    console.log(
      JSON.stringify(
        {
          ociVersionMin: "1.0.0",
          ociVersionMax: ociVersion,
          hooks: hookNames,
          mountOptions: mountOptionNames,
          linux: {
            namespaces: ["cgroup", "ipc", "mount", "network", "pid", "time", "uts"],
            capabilities: capabilityNames,
            cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: false },
            seccomp: {
              enabled: true,
              actions: seccompNames.actions,
              operators: seccompNames.operators,
              archs: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            },
            apparmor: { enabled: false },
            selinux: { enabled: false },
            intelRdt: { enabled: false },
            mountExtensions: { idmap: { enabled: false } },
          },
        },
        undefined,
        2,
      ),
    );
    return 0;
  },
};
