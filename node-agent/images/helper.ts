// Runs naru-unpack, the static program that does to file systems what Node cannot.
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { Readable } from "node:stream";

/** A failure that naru-unpack reported: of the archive ("bad"), of the disk's room ("nospace") or of the machine ("system"). */
export class HelperError extends Error {
  readonly kind: "bad" | "nospace" | "system";
  /** Digits of the digest of all that it was fed, where it looked at them. */
  readonly input: string | undefined;

  constructor(kind: HelperError["kind"], words: string, input?: string) {
    super(words);
    this.name = "HelperError";
    this.kind = kind;
    this.input = input;
  }
}

/** Another build of it, such as the sanitized one, by the environment. */
const helperPath = process.env["NARU_UNPACK"] ?? new URL("./build/naru-unpack", import.meta.url).pathname;

const outputBytesMax = 256 * 1024 * 1024;

/** Starts a command; its stdin is the caller's, `file` its descriptor 3. `done` gives its output, or rejects with HelperError. */
export function startHelper(
  args: readonly string[],
  file?: number,
): { readonly child: ChildProcess; readonly done: Promise<Buffer> } {
  const child = spawn(helperPath, args, {
    stdio: ["pipe", "pipe", "inherit", ...(file === undefined ? [] : [file])],
    env: {},
  });
  unspare(child);
  return { child, done: collect(child, child.stdout) };
}

/** Starts a command that writes a tar: on `tar`, which must be read; `done` gives what it said of it. */
export function startPacking(args: readonly string[]): {
  readonly tar: Readable;
  readonly done: Promise<Buffer>;
  kill(): void;
} {
  const child = spawn(helperPath, args, { stdio: ["ignore", "pipe", "inherit", "pipe"], env: {} });
  unspare(child);
  const [, tar, , results] = child.stdio;
  if (tar === null || tar === undefined) throw new Error("bug: helper without output");
  return { tar: tar as Readable, done: collect(child, results as Readable), kill: () => void child.kill("SIGKILL") };
}

/** Runs a command to its end; `input` are words for its stdin. */
export async function runHelper(args: readonly string[], input: readonly string[] = []): Promise<Buffer> {
  const { child, done } = startHelper(args);
  child.stdin?.on("error", () => {});
  child.stdin?.end(input.length === 0 ? "" : `${input.join("\0")}\0`);
  return await done;
}

/** The agent is spared by the kernel when memory runs out. What reads strangers' archives is not. */
function unspare({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) writeFileSync(`/proc/${pid}/oom_score_adj`, "0");
  } catch {
    // It has ended already, or was not spared.
  }
}

function collect(child: ChildProcess, results: Readable | null): Promise<Buffer> {
  const done = new Promise<Buffer>((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    results?.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes <= outputBytesMax) parts.push(part);
      else child.kill("SIGKILL");
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
      const last = lastLine(output);
      if (code === 0 && last.startsWith("ok")) resolve(output);
      else reject(parseFailure(output, signal));
    });
  });
  // Who hears of a failure by the tar that breaks off, before asking for this, must not end the agent by it.
  done.catch(() => {});
  return done;
}

function lastLine(output: Buffer): string {
  return output.toString("latin1", output.lastIndexOf(0x0a, output.length - 2) + 1);
}

function parseFailure(output: Buffer, signal: NodeJS.Signals | null): HelperError {
  const found = /^(bad|nospace|system) (.*)\n$/.exec(lastLine(output));
  const input = /(?:^|\n)input ([a-f0-9]{64})\n.*\n$/.exec(
    output.toString("latin1", Math.max(0, output.length - 2048)),
  );
  if (found !== null) return new HelperError(found[1] as HelperError["kind"], found[2] ?? "", input?.[1]);
  return new HelperError("system", `naru-unpack was ended${signal === null ? "" : ` by ${signal}`} without a word`);
}

/** The words of an "ok" line. */
export function okWords(output: Buffer): readonly string[] {
  return lastLine(output).trim().split(" ").slice(1);
}
