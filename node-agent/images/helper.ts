// Runs naru-unpack, the static program that does to file systems what Node cannot.
import { type ChildProcess, spawn } from "node:child_process";

/** A failure that naru-unpack reported: of the archive ("bad"), of the disk's room ("nospace") or of the machine ("system"). */
export class HelperError extends Error {
  readonly kind: "bad" | "nospace" | "system";

  constructor(kind: HelperError["kind"], words: string) {
    super(words);
    this.name = "HelperError";
    this.kind = kind;
  }
}

const helperPath = new URL("./build/naru-unpack", import.meta.url).pathname;

const outputBytesMax = 8 * 1024 * 1024;

/** Starts a command; its stdin is the caller's. `done` gives its output, or rejects with HelperError. */
export function startHelper(args: readonly string[]): { readonly child: ChildProcess; readonly done: Promise<Buffer> } {
  const child = spawn(helperPath, args, { stdio: ["pipe", "pipe", "ignore"], env: {} });
  const done = new Promise<Buffer>((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    child.stdout?.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes <= outputBytesMax) parts.push(part);
    });
    child.on("error", (cause) =>
      reject(
        new HelperError(
          "system",
          `${helperPath} cannot be run (${cause.message}): build it with node-agent/images/build.sh`,
        ),
      ),
    );
    child.on("close", (code, signal) => {
      const output = Buffer.concat(parts);
      if (code === 0 && output.subarray(0, 2).toString() === "ok") resolve(output);
      else reject(parseFailure(output.toString(), signal));
    });
  });
  return { child, done };
}

export async function runHelper(args: readonly string[]): Promise<Buffer> {
  const { child, done } = startHelper(args);
  child.stdin?.on("error", () => {});
  child.stdin?.end();
  return await done;
}

function parseFailure(output: string, signal: NodeJS.Signals | null): HelperError {
  const found = /^(bad|nospace|system) (.*)\n$/.exec(output);
  if (found !== null) return new HelperError(found[1] as HelperError["kind"], found[2] ?? "");
  return new HelperError("system", `naru-unpack was ended${signal === null ? "" : ` by ${signal}`} without a word`);
}
