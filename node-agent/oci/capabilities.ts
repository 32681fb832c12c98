// The capabilities of config.json. What no kernel knows, or this one cannot give, is worth a warning and no failure.
// Source: OCI runtime specification, config.md, Linux Process.
import { readFileSync } from "node:fs";
import { capabilityNames } from "../runtime/defaults.ts";
import type { Fields } from "./fields.ts";

const sets = ["bounding", "effective", "permitted", "inheritable", "ambient"] as const;

export type CapabilitySets = Readonly<Record<(typeof sets)[number], readonly string[]>>;

const noCapabilities: CapabilitySets = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };

/** Without any the process has none. */
export function parseCapabilities(fields: Fields | undefined): CapabilitySets {
  if (fields === undefined) return noCapabilities;
  return Object.fromEntries(sets.map((set) => [set, fields.texts(set)])) as unknown as CapabilitySets;
}

/** Those that have a name here. */
export function knownCapabilities(names: readonly string[]): readonly string[] {
  return names.filter((name) => capabilityNames.includes(name));
}

/** Those asked for that the process will not have, with the reason. */
export function missingCapabilities(capabilities: CapabilitySets): readonly string[] {
  const held = BigInt(`0x${/^CapPrm:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"}`);
  return [...new Set(sets.flatMap((set) => capabilities[set]))].flatMap((name) => {
    const bit = capabilityNames.indexOf(name);
    if (bit === -1) return [`process.capabilities: ${name}: no such capability`];
    return (held >> BigInt(bit)) & 1n ? [] : [`process.capabilities: ${name}: naru-oci does not have it itself`];
  });
}
