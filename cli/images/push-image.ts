// One image from a node to its registry, shown as it goes on.
import type { PushProgress } from "../../node-agent/images/library.ts";
import type { ImageCommand } from "../../node-agent/streams/image-commands.ts";
import type { Connection } from "../connection.ts";
import { startProgress } from "../progress.ts";
import { commandLines } from "./ask-node.ts";
import { sizeText } from "./transfer.ts";

export async function pushImage(
  connection: Connection,
  node: string,
  wanted: Omit<Extract<ImageCommand, { readonly command: "push" }>, "command">,
): Promise<void> {
  const progress = startProgress();
  const layers = new Map<string, PushProgress>();
  let digest = "";
  try {
    const lines = commandLines<PushProgress & { readonly digest?: string }>(connection, node, {
      ...{ command: "push", ...wanted },
    });
    for await (const line of lines) {
      digest = line.digest ?? digest;
      if (line.diffId === undefined) continue;
      layers.set(line.diffId, line);
      const { what, detail } = describe([...layers.values()]);
      progress.update(`${node}: ${what}`, detail);
    }
  } catch (error) {
    progress.clear();
    throw error;
  }
  progress.done(`${node}: pushed ${wanted.reference} ${digest}`);
}

function describe(layers: readonly PushProgress[]): { readonly what: string; readonly detail: string } {
  const count = (states: readonly string[]) => layers.filter(({ state }) => states.includes(state)).length;
  const sum = (field: "doneBytes" | "totalBytes") => layers.reduce((bytes, layer) => bytes + layer[field], 0);
  const known = count(["exists", "mounted"]);
  return {
    what: `${known + count(["pushed"])} of ${layers.length} layers${known === 0 ? "" : `, ${known} of them already there`}`,
    detail: `${sizeText(sum("doneBytes"))} of ${sizeText(sum("totalBytes"))}`,
  };
}
