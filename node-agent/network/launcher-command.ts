// A Launcher for programs that have none running: one short process per batch.
import { spawn } from "node:child_process";
import type { Launcher } from "./netlink.ts";

const errorBytesMax = 4096;

/** Performs "netlink" through the command `naru-launcher netlink`. */
export function launcherCommand(launcherPath: string): Launcher {
  return {
    request: async (op, [batch]) => {
      if (op !== "netlink" || !(batch instanceof Uint8Array)) throw new Error(`the launcher's command cannot do ${op}`);
      return [await run(launcherPath, batch)];
    },
  };
}

function run(launcherPath: string, batch: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(launcherPath, ["netlink"], { stdio: ["pipe", "pipe", "pipe"] });
    let [result, errors] = ["", ""];
    child.stdout.on("data", (bytes: Buffer) => {
      result += bytes.toString();
    });
    child.stderr.on("data", (bytes: Buffer) => {
      if (errors.length < errorBytesMax) errors += bytes.toString();
    });
    child.on("error", (cause) => reject(new Error(`run ${launcherPath}`, { cause })));
    child.on("close", (code) => {
      if (code === 0) resolve(result);
      else reject(new Error(`${errors.trim()} (exit ${code})`));
    });
    child.stdin.on("error", () => {});
    child.stdin.end(batch);
  });
}
