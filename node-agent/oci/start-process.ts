// Lets a created container's process go on to its program.
import { rmSync } from "node:fs";
import { FrameReader } from "../runtime/frames.ts";
import { connectSocket, replyError } from "../runtime/launcher-client.ts";
import { LaunchError } from "../runtime/runtime.ts";
import { launchError } from "./once.ts";

/** Resolves when its program executes. */
export async function startProcess(socketPath: string, args: readonly string[]): Promise<void> {
  const socket = await connectSocket(socketPath);
  const reader = new FrameReader();
  let executes = false;
  let failure: LaunchError | undefined;
  await new Promise<void>((resolve) => {
    socket.on("data", (bytes: Buffer) => {
      for (const [word, ...rest] of reader.push(bytes).map((frame) => frame.map(String))) {
        if (word === "exec") executes = true;
        // A failure behind "exec" is exec's own.
        if (word === "failed") failure = asLaunchError(rest, executes ? args : undefined);
      }
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
  rmSync(socketPath, { force: true });
  if (failure !== undefined) throw failure;
  if (!executes) throw new LaunchError("the container's process was ended before it began", 128);
}

function asLaunchError(reply: readonly string[], args: readonly string[] | undefined): LaunchError {
  const error = replyError(reply.slice(0, 2));
  // What is done between "exec" and the call itself can fail as well.
  if (args === undefined || !error.message.startsWith("exec "))
    return new LaunchError(error.message, 128, { cause: error });
  return launchError(replyError([reply[0] ?? "", reply[1] ?? "", "0"]), [["exec", args.length, ...args]]);
}
