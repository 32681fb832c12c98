// The node's builder, opened by the first build: most nodes never build, and its code takes memory.
import type { Builder } from "./build/build.ts";
import type { BuilderParts } from "./build/builder.ts";

export function lazyBuilder(parts: BuilderParts): () => Promise<Builder> {
  let opened: Promise<Builder> | undefined;
  const open = async () => {
    const { openBuilder } = await import("./build/builder.ts");
    return await openBuilder(parts);
  };
  return () => {
    opened ??= open();
    // A failure is not for good.
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  };
}
