// The node's builder, opened by the first build: most nodes never build, and its code takes memory. Steps that a killed agent left
// running end at the start all the same.
import { type Builder, buildLabel } from "./build/build.ts";
import type { BuilderParts } from "./build/builder.ts";

export async function openLazyBuilder(parts: BuilderParts): Promise<() => Promise<Builder>> {
  let opened: Promise<Builder> | undefined;
  const open = async () => {
    const { openBuilder } = await import("./build/builder.ts");
    return await openBuilder(parts);
  };
  const builder = () => {
    opened ??= open();
    // A failure is not for good.
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  };
  const isLeft = (await parts.runtime.list()).some(({ labels }) => labels[buildLabel] !== undefined);
  if (isLeft) await builder();
  return builder;
}
