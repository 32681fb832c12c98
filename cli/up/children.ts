// The processes of `naru up`: started with a log file each, started again when they die, ended in order.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface ChildOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly logDir: string;
  /** Where its pid is noted, so that the next start finds what a killed one left. */
  readonly runDir: string;
  readonly onRestart: (why: string) => void;
}

export interface Child {
  readonly name: string;
  readonly logPath: string;
  /** SIGTERM, and SIGKILL when it takes longer than `withinMs`. It is not started again. */
  stop(withinMs: number): Promise<void>;
}

// One arena of the C library's heap instead of several per core: some megabytes less in every process.
const env = { ...process.env, MALLOC_ARENA_MAX: "1" };
const restartMsMin = 100;
const restartMsMax = 5000;
const healthyMs = 10_000;

export function startChild(options: ChildOptions): Child {
  mkdirSync(options.logDir, { recursive: true });
  mkdirSync(options.runDir, { recursive: true, mode: 0o700 });
  const logPath = join(options.logDir, `${options.name}.log`);
  const pidPath = join(options.runDir, `${options.name}.pid`);
  let process_: ChildProcess | undefined;
  let stopping = false;
  let waitMs = restartMsMin;
  let exited: Promise<void> = Promise.resolve();

  const start = () => {
    const log = openSync(logPath, "a");
    const [program = "", ...args] = options.command;
    // A process group of its own: Ctrl-C reaches us alone, and we end the others in order.
    const child = spawn(program, args, { stdio: ["ignore", log, log], detached: true, env });
    closeSync(log);
    process_ = child;
    if (child.pid !== undefined) writeFileSync(pidPath, String(child.pid));
    const startedMs = performance.now();
    exited = new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("exit", (code, signal) => {
        resolve();
        if (stopping) return;
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

/** Ends a process that an earlier, killed `naru up` left behind; containers go on and are adopted. */
export async function endLeftover(name: string, runDir: string, mark: string): Promise<void> {
  const pidPath = join(runDir, `${name}.pid`);
  if (!existsSync(pidPath)) return;
  const pid = Number(readFileSync(pidPath, "utf8"));
  rmSync(pidPath, { force: true });
  // The number may belong to somebody else by now: only a process that names our folder is ours.
  const commandLine = () => (existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "");
  if (!(pid > 1) || !commandLine().includes(mark)) return;
  process.kill(pid, "SIGKILL");
  while (commandLine().includes(mark)) await delay(10);
}
