// Has the launcher perform one plan as our child, whose process becomes our caller's when we end (node-agent/launcher/README.md).
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { ProcessIdentity } from "../runtime/container-directory.ts";
import { encodeFrame, FrameReader } from "../runtime/frames.ts";
import type { LaunchOp } from "../runtime/launch-op.ts";
import { type LauncherError, replyError } from "../runtime/launcher-client.ts";
import { LaunchError } from "../runtime/runtime.ts";

/** `NARU_LAUNCHER`: another build, such as one with sanitizers. */
const launcherPath =
  process.env["NARU_LAUNCHER"] ?? new URL("../launcher/build/naru-launcher", import.meta.url).pathname;

export interface LaunchOptions {
  /** Whether the launcher goes once the process is there, or stays until its end. */
  readonly end: "leave" | "stay";
  /** Files 3, 4, … that the process inherits. */
  readonly preservedFiles: number;
  /** When the plan's `sync` is reached; what it throws ends the process. */
  readonly onSync?: (process: ProcessIdentity) => void;
}

export interface Launched {
  readonly process: ProcessIdentity;
  /** With "stay": resolves with its exit code. */
  readonly exited: Promise<number>;
}

/** Rejects with LaunchError, or with what onSync threw. */
export async function launch(ops: readonly LaunchOp[], options: LaunchOptions): Promise<Launched> {
  const files = Array.from({ length: options.preservedFiles }, (_, i) => 3 + i);
  const controlFile = 3 + files.length;
  const child = spawn(launcherPath, ["once", String(controlFile), String(files.length), options.end], {
    stdio: ["inherit", "inherit", "inherit", ...files, "pipe"],
    env: {},
  });
  const control = child.stdio[controlFile] as Socket;
  const conversation = new Conversation(child, control, ops, options);
  control.write(encodeFrame(ops));
  return { process: await conversation.started, exited: conversation.exited };
}

class Conversation {
  readonly started: Promise<ProcessIdentity>;
  readonly exited: Promise<number>;
  readonly #start = Promise.withResolvers<ProcessIdentity>();
  readonly #exit = Promise.withResolvers<number>();
  readonly #reader = new FrameReader();
  readonly #control: Socket;
  readonly #ops: readonly LaunchOp[];
  readonly #options: LaunchOptions;

  constructor(child: ChildProcess, control: Socket, ops: readonly LaunchOp[], options: LaunchOptions) {
    this.started = this.#start.promise;
    this.exited = this.#exit.promise;
    this.#control = control;
    this.#ops = ops;
    this.#options = options;
    this.exited.catch(() => {});
    control.on("data", (bytes: Buffer) => {
      for (const frame of this.#reader.push(bytes)) this.#hear(frame.map(String));
    });
    control.on("error", () => {});
    // All that it said has been heard then.
    control.on("close", () => this.#fail(new LaunchError("the launcher ended", 128)));
    child.on("error", (cause) =>
      this.#fail(new Error(`run ${launcherPath}; node-agent/launcher/build.sh makes it`, { cause })),
    );
  }

  #hear([word, ...rest]: readonly string[]): void {
    if (word === "sync") this.#sync(identity(rest));
    else if (word === "started") this.#start.resolve(identity(rest));
    else if (word === "exited") this.#exit.resolve(Number(rest[0]));
    else if (word === "failed") this.#fail(launchError(replyError(rest), this.#ops));
  }

  #sync(process: ProcessIdentity): void {
    try {
      this.#options.onSync?.(process);
      this.#control.write(encodeFrame(["go"]));
    } catch (error) {
      this.#fail(error);
      this.#control.write(encodeFrame(["no"]));
    }
  }

  #fail(error: unknown): void {
    this.#start.reject(error);
    this.#exit.reject(error);
  }
}

function identity([pid, startTicks]: readonly string[]): ProcessIdentity {
  return { pid: Number(pid), startTicks: startTicks ?? "" };
}

/** In the words that callers of OCI runtimes look for when there is no such program. */
export function launchError(error: LauncherError, ops: readonly LaunchOp[]): LaunchError {
  const op = error.opIndex === undefined ? undefined : ops[error.opIndex];
  const [name] = op ?? [];
  if (name !== "exec" && name !== "find-program") return new LaunchError(error.message, 128, { cause: error });
  const program = JSON.stringify(String(name === "exec" ? op?.[2] : op?.[1]));
  const exitCode = error.errno === 2 || error.errno === 20 ? 127 : 126;
  const hasPath = program.includes("/");
  const words =
    exitCode === 127 && !hasPath
      ? `exec: ${program}: executable file not found in $PATH`
      : `exec: ${program}: ${reason(error)}`;
  return new LaunchError(words, exitCode, { cause: error });
}

function reason(error: LauncherError): string {
  return error.message.slice(error.message.lastIndexOf(": ") + 2);
}
