// The runtime of this node, with the other OCI runtimes that the machine has.
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { AgentOptions } from "./agent-options.ts";
import { hasAddress } from "./network/own-address.ts";
import { type LinuxRuntime, openLinuxRuntime } from "./runtime/linux.ts";
import { findOciPrograms, parseOciProgram, refuseBelowChroot } from "./runtime/oci-programs.ts";

/** Ready for what starts next, at 0.2 MB each. */
const waitingSandboxes = 2;

export async function openNodeRuntime(parts: {
  readonly clock: Clock;
  readonly log: Logger;
  readonly options: Pick<AgentOptions, "ociRuntimes" | "cgroupParent">;
  readonly dataDir: string;
  readonly runDir: string;
  readonly launcherPath: string;
  readonly nodeIp: string;
}): Promise<LinuxRuntime> {
  const { clock, log, options, dataDir, runDir, launcherPath, nodeIp } = parts;
  const found = findOciPrograms((options.ociRuntimes ?? []).map(parseOciProgram), process.env["PATH"]);
  const ociPrograms = refuseBelowChroot(found, launcherPath);
  for (const { handler, path, refused } of ociPrograms)
    if (refused !== undefined)
      log.warn({ handler, path, reason: refused }, "an OCI runtime of the machine is not used");
  const runtimeOptions = {
    runDir: join(runDir, "runtime"),
    stateDir: join(dataDir, "runtime"),
    launcherPath,
    cgroupParent: options.cgroupParent,
    ociPrograms,
    clock,
    log,
    waiting: waitingSandboxes,
  };
  const runtime = await openLinuxRuntime(runtimeOptions);
  if (await hasAddress(runtime, nodeIp)) return runtime;
  // A virtual host was made anew while its launcher lived on: what runs there can reach nobody any more.
  log.warn({ nodeIp }, "the launcher is in another network namespace, its containers are removed");
  await runtime.tearDown();
  return await openLinuxRuntime(runtimeOptions);
}
