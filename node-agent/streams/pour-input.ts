// What a user sends, poured into whatever takes it on this node, as fast as that is.
import type { NodeStream } from "../session-types.ts";

/** Ends `output` with the user's input; rejects when the user goes away. What `output` no longer takes is thrown away. */
export async function pourInput(output: NodeJS.WritableStream, stream: NodeStream): Promise<void> {
  for await (const input of stream.input) {
    if (input.type === "stdinEnd") break;
    if (input.type === "stdin" && !output.write(input.data)) await roomIn(output, stream.signal);
  }
  output.end();
}

/** Resolves when `output` takes more or is gone, or the user is. */
export function roomIn(
  output: NodeJS.WritableStream & { readonly destroyed?: boolean },
  signal: AbortSignal,
): Promise<void> {
  // Its last event has been, and no other will come.
  if (output.destroyed === true || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const events = ["drain", "close", "error"];
    const done = () => {
      for (const event of events) output.removeListener(event, done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    for (const event of events) output.on(event, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
