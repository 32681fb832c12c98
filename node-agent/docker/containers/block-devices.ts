// The node's devices that a container's limits name.
import { stat } from "node:fs/promises";
import type { DeviceNumbers } from "../../runtime/block-limits.ts";
import type { RareLimit } from "../../runtime/runtime.ts";
import { badRequest } from "../http/problem.ts";
import { limitedDevices, planRareLimits } from "./rare-limits.ts";
import type { HostConfig } from "./record.ts";

export async function rareLimits(hostConfig: HostConfig): Promise<readonly RareLimit[]> {
  const numbers = new Map<string, DeviceNumbers>();
  for (const path of limitedDevices(hostConfig)) {
    const info = await stat(path).catch(() => undefined);
    if (info?.isBlockDevice() !== true)
      throw badRequest(`cannot limit what is read from and written to ${path}: no such block device`);
    numbers.set(path, deviceNumbers(info.rdev));
  }
  return planRareLimits(hostConfig, (path) => numbers.get(path) ?? { major: 0, minor: 0 });
}

/** As gnu_dev_major and gnu_dev_minor take the number apart. */
export function deviceNumbers(rdev: number): DeviceNumbers {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}
