// Layers on their way to a node, shown as they come.

import { silentProgress, startProgress } from "../progress.ts";
import type { ImageLine } from "./ask-node.ts";

/** Shows lines until they end; `done` words the last of them. */
export async function transfer(
  node: string,
  lines: AsyncIterable<ImageLine>,
  { done, quiet = false }: { readonly done: (last: ImageLine) => string; readonly quiet?: boolean },
): Promise<void> {
  const progress = quiet ? silentProgress : startProgress();
  const layers = new Map<string, ImageLine>();
  let last: ImageLine = {};
  try {
    for await (const line of lines) {
      last = line;
      if (line.type !== "layer") continue;
      layers.set(line.digest ?? "", line);
      const [text, detail] = layersText([...layers.values()]);
      progress.update(`${node}: ${text}`, detail);
    }
  } catch (error) {
    progress.clear();
    throw error;
  }
  progress.done(`${node}: ${done(last)}`);
}

/** Such as "23.0 kB" or "1.5 MB". */
export function sizeText(bytes: number): string {
  return bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function layersText(layers: readonly ImageLine[]): readonly [text: string, detail: string] {
  const here = layers.filter(({ state }) => state === "exists").length;
  const unpacked = layers.filter(({ state }) => state === "unpacked").length;
  const sum = (field: "doneBytes" | "totalBytes") => layers.reduce((bytes, layer) => bytes + (layer[field] ?? 0), 0);
  return [
    `${unpacked + here} of ${layers.length} layers${here === 0 ? "" : `, ${here} of them already there`}`,
    `${sizeText(sum("doneBytes"))} of ${sizeText(sum("totalBytes"))}`,
  ];
}
