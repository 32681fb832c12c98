// A daemon of a peer, started for a benchmark, in the network namespace of who measures it: the machine's stays as it is.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const readyTriesMax = 150;
const tryMs = 200;
const endMsMax = 10_000;

export interface DaemonOptions {
  readonly command: readonly string[];
  readonly logPath: string;
  /** In the command lines of everything that belongs to it, such as its folder. */
  readonly mark: string;
  /** Rejects until it answers. */
  readonly isReady: () => Promise<unknown>;
}

export async function startDaemon(options: DaemonOptions): Promise<AsyncDisposable> {
  const log = openSync(options.logPath, "a");
  const [program = "", ...args] = options.command;
  const child = spawn(program, args, { stdio: ["ignore", log, log] });
  closeSync(log);
  const daemon = { [Symbol.asyncDispose]: () => end(child, options.mark) };
  for (let tries = 0; ; tries++) {
    try {
      await options.isReady();
      return daemon;
    } catch (cause) {
      if (tries < readyTriesMax && child.exitCode === null) {
        await delay(tryMs);
        continue;
      }
      await end(child, options.mark);
      const said = readFileSync(options.logPath, "utf8").trim().split("\n").at(-1);
      throw new Error(`${options.command[0]} does not answer: ${said}`, { cause });
    }
  }
}

async function end(child: ChildProcess, mark: string): Promise<void> {
  const exited = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode === null && child.kill("SIGTERM")) await Promise.race([exited, delay(endMsMax)]);
  // What it started and left, such as shims.
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (Number(pid) !== process.pid && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(mark))
        process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}
