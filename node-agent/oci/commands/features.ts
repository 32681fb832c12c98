// naru-oci features: what it can do, for programs. Source: OCI runtime specification 1.3, features.md.
import { capabilityNames } from "../../runtime/defaults.ts";
import { mountOptionNames } from "../../runtime/mount-options.ts";
import { architectureOf, ownSeccompMachine } from "../../runtime/seccomp-machines.ts";
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
            namespaces: ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            capabilities: capabilityNames,
            cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
            seccomp: {
              enabled: true,
              actions: seccompNames.actions,
              operators: seccompNames.operators,
              archs: architectureOf(ownSeccompMachine()).abis.map(({ oci }) => oci),
              knownFlags: seccompNames.flags,
              supportedFlags: seccompNames.flags,
            },
            apparmor: { enabled: false },
            selinux: { enabled: false },
            intelRdt: { enabled: false },
            mountExtensions: { idmap: { enabled: true } },
            netDevices: { enabled: false },
          },
        },
        undefined,
        2,
      ),
    );
    return 0;
  },
};
