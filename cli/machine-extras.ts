// What a machine may have beyond what Naru needs, and which pods can ask for it.
import { isAppArmorEnabled } from "../node-agent/runtime/apparmor.ts";
import { findOciPrograms } from "../node-agent/runtime/oci-programs.ts";

export interface MachineExtra {
  readonly name: string;
  readonly found: string;
}

export function machineExtras(): readonly MachineExtra[] {
  const runtimes = findOciPrograms([], process.env["PATH"]).map(({ handler, path }) => `${handler} (${path})`);
  return [
    { name: "runtime handlers", found: ["naru (built in)", ...runtimes].join(", ") },
    {
      name: "AppArmor",
      found: isAppArmorEnabled() ? "enabled" : "not enabled: pods that ask for a profile are refused",
    },
  ];
}
