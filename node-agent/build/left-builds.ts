// What builds of a killed agent left running. Called once, before any builder of the node works: a builder cannot tell its own steps from
// another's.
import { rm } from "node:fs/promises";
import type { ImageLibrary } from "../images/library.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { buildLabel, buildSandboxPrefix } from "./build.ts";

export async function clearLeftBuilds({
  runtime,
  images,
  leaveNetwork = async () => {},
}: {
  readonly runtime: Runtime;
  readonly images: ImageLibrary;
  /** Takes a step's sandbox out of its network; silent when it is not there. */
  readonly leaveNetwork?: (id: string) => Promise<void>;
}): Promise<void> {
  for (const { id, labels } of await runtime.list()) if (labels[buildLabel] !== undefined) await runtime.remove(id);
  for (const { id } of await runtime.listSandboxes()) {
    if (!id.startsWith(buildSandboxPrefix)) continue;
    await leaveNetwork(id);
    await runtime.removeSandbox(id);
  }
  await rm(images.workshop().directories.run, { recursive: true, force: true });
}
