// One build on a node, shown as it goes on.
import type { BuildEvent, BuildResult } from "../../node-agent/build/build.ts";
import type { ImageCommand } from "../../node-agent/streams/image-commands.ts";
import type { Connection } from "../connection.ts";
import { commandLines } from "./ask-node.ts";
import type { BuildPrinter } from "./build-progress.ts";

/** What a node tells of a build. */
type Line =
  | Exclude<BuildEvent, { type: "output" }>
  | { readonly type: "output"; readonly id: number; readonly stream: "stdout" | "stderr"; readonly data: string }
  | ({ readonly type: "built" } & BuildResult);

/** Rejects with what the node says went wrong; what steps wrote lately is printed then. */
export async function runBuild({
  connection,
  node,
  command,
  context,
  printer,
}: {
  readonly connection: Connection;
  readonly node: string;
  readonly command: Extract<ImageCommand, { readonly command: "build" }>;
  readonly context: AsyncIterable<Uint8Array>;
  readonly printer: BuildPrinter;
}): Promise<BuildResult> {
  let built: BuildResult | undefined;
  try {
    for await (const line of commandLines<Line>(connection, node, command, context)) {
      if (line.type === "built") built = line;
      else if (line.type === "output") printer.show({ ...line, data: Buffer.from(line.data, "base64") });
      else printer.show(line);
    }
  } catch (error) {
    const output = printer.failed();
    if (output !== "") process.stderr.write(`${output}\n`);
    throw error;
  }
  if (built === undefined) throw new Error("the node ended the build without a word");
  return built;
}
