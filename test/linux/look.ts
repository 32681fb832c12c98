// Containers that look at their files once and end: what they saw, or why they were refused.
import { readFileSync } from "node:fs";
import { type ContainerSpec, LaunchError, type Mount } from "../../node-agent/runtime/runtime.ts";
import type { Rig } from "./rig.ts";

let runs = 0;

/** What the probe says of files, in the order asked: actions and paths in turns. */
export async function look(
  rig: Rig,
  words: readonly string[],
  more: Partial<ContainerSpec> = {},
): Promise<readonly string[]> {
  const id = `look-${runs++}`;
  await rig.runtime.create(rig.spec(id, ["files", ...words], more));
  await rig.runtime.start(id);
  await rig.runtime.wait(id);
  const lines = linesOf(rig.logOf(id));
  await rig.runtime.remove(id);
  return lines;
}

/** Why a container with these changes cannot start. */
export async function refusal(rig: Rig, more: Partial<ContainerSpec>): Promise<LaunchError> {
  const id = `refused-${runs++}`;
  await rig.runtime.create(rig.spec(id, ["exit"], more));
  try {
    await rig.runtime.start(id);
  } catch (error) {
    if (error instanceof LaunchError) return error;
    throw error;
  }
  throw new Error("it started");
}

export function bind(source: string, destination: string, more: Partial<Mount> = {}): Mount {
  return { destination, type: "bind", source, options: ["rbind"], ...more };
}

/** The text of a log in the CRI format. */
export function linesOf(path: string): readonly string[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.flatMap((line) => (line === "" ? [] : [line.split(" ").slice(3).join(" ")]));
}
