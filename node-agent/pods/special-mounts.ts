// Where a pod's containers differ from the runtime's default mounts. Pure.
import type { Mount } from "../runtime/runtime.ts";

/** Each takes the place of the runtime's default with the same destination. */
export function specialMounts(options: {
  readonly privileged: boolean;
  readonly hostNetwork: boolean;
}): readonly Mount[] {
  const mode = options.privileged ? "rw" : "ro";
  const flags = ["nosuid", "noexec", "nodev"];
  // A new sysfs belongs to the network namespace of its mounter; the host's own may only be bound.
  if (options.hostNetwork)
    return [
      {
        destination: "/sys",
        type: "bind",
        source: "/sys",
        options: ["rbind", ...flags.map((flag) => `r${flag}`), mode === "rw" ? "rw" : "rro"],
      },
    ];
  return options.privileged ? [{ destination: "/sys", type: "sysfs", source: "sysfs", options: [...flags, mode] }] : [];
}
