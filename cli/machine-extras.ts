// What a machine may have beyond what Naru needs, and which pods can ask for it.
import { existsSync } from "node:fs";
import { isAppArmorEnabled } from "../node-agent/runtime/apparmor.ts";
import { findOciPrograms, type OciProgram, refuseBelowChroot } from "../node-agent/runtime/oci-programs.ts";

const launcherPath = new URL("../node-agent/launcher/build/naru-launcher", import.meta.url).pathname;

export interface MachineExtra {
  readonly name: string;
  readonly found: string;
}

export function machineExtras(): readonly MachineExtra[] {
  const runtimes = ociPrograms().map(
    ({ handler, path, refused }) => `${handler} (${path}${refused === undefined ? "" : `; not used: ${refused}`})`,
  );
  return [
    { name: "runtime handlers", found: ["naru (built in)", ...runtimes].join(", ") },
    {
      name: "AppArmor",
      found: isAppArmorEnabled() ? "enabled" : "not enabled: pods that ask for a profile are refused",
    },
  ];
}

// Without the launcher, which a check of its own asks for, there is nothing to run them below.
function ociPrograms(): readonly OciProgram[] {
  const found = findOciPrograms([], process.env["PATH"]);
  return existsSync(launcherPath) && process.getuid?.() === 0 ? refuseBelowChroot(found, launcherPath) : found;
}
