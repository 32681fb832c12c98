// The processes of `naru up`: started with a log file each, started again when they die, ended in order.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ProcessIdentity, startTicksOf } from "../../node-agent/runtime/container-directory.ts";

export interface ChildOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly logDir: string;
  /** Where its process is noted, so that the next start finds what a killed one left. */
  readonly runDir: string;
  /** Beside our own environment: what no other user may read, as they may a command line. */
  readonly env?: NodeJS.ProcessEnv;
  readonly onRestart: (why: string) => void;
}

export interface Child {
  readonly name: string;
  readonly logPath: string;
  /** How often it ended without having been asked to. */
  readonly ends: number;
  /** Another SIGTERM to one that is being stopped. */
  hurry(): void;
  /** SIGTERM, and SIGKILL when it takes longer than `withinMs`. It is not started again. */
  stop(withinMs: number): Promise<void>;
}

const pidSuffix = ".child";
const restartMsMin = 100;
const restartMsMax = 5000;
const healthyMs = 10_000;

export function startChild(options: ChildOptions): Child {
  mkdirSync(options.logDir, { recursive: true });
  mkdirSync(options.runDir, { recursive: true, mode: 0o700 });
  const logPath = join(options.logDir, `${options.name}.log`);
  const pidPath = join(options.runDir, `${options.name}${pidSuffix}`);
  let process_: ChildProcess | undefined;
  let stopping = false;
  let ends = 0;
  let waitMs = restartMsMin;
  let exited: Promise<void> = Promise.resolve();

  const start = () => {
    const log = openSync(logPath, "a");
    const [program = "", ...args] = options.command;
    // A process group of its own: Ctrl-C reaches us alone, and we end the others in order.
    const child = spawn(program, args, {
      stdio: ["ignore", log, log],
      detached: true,
      env: { ...process.env, ...options.env },
    });
    closeSync(log);
    process_ = child;
    // With its start: the number alone may be somebody else's by the time it is read.
    if (child.pid !== undefined) writeFileSync(pidPath, `${child.pid} ${startTicksOf(child.pid) ?? ""}`);
    const startedMs = performance.now();
    exited = new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("exit", (code, signal) => {
        resolve();
        if (stopping) return;
        ends++;
        options.onRestart(
          `${options.name} ended with ${signal ?? `code ${code}`}, starting it again; its log: ${logPath}`,
        );
        if (performance.now() - startedMs > healthyMs) waitMs = restartMsMin;
        setTimeout(() => !stopping && start(), waitMs);
        waitMs = Math.min(restartMsMax, waitMs * 2);
      });
    });
  };
  start();
  return {
    name: options.name,
    logPath,
    get ends() {
      return ends;
    },
    hurry: () => {
      if (stopping && process_?.exitCode === null && process_.signalCode === null) process_.kill("SIGTERM");
    },
    stop: async (withinMs) => {
      stopping = true;
      if (process_?.exitCode === null && process_.signalCode === null) {
        process_.kill("SIGTERM");
        await Promise.race([exited, delay(withinMs, undefined, { ref: false })]);
        if (process_.exitCode === null && process_.signalCode === null) {
          process_.kill("SIGKILL");
          await exited;
        }
      }
      rmSync(pidPath, { force: true });
    },
  };
}

/** Server and agents that an earlier, killed `naru up` left behind. */
export function leftChildren(runDir: string): readonly ProcessIdentity[] {
  return readdirSync(runDir)
    .filter((name) => name.endsWith(pidSuffix))
    .map((name) => {
      const [pid, startTicks = ""] = readFileSync(join(runDir, name), "utf8").split(" ");
      return { pid: Number(pid), startTicks };
    });
}
