// What a peer must be able to do to be measured beside us, and the finding of its programs.
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** A container runtime or engine that this machine has, ready to be used. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  /** A program that does nothing, from the command to its end, with everything removed again. */
  run(id: string): Promise<void>;
  /** One that goes on. */
  start(id: string): Promise<void>;
  /** Another process in it, until its end. */
  exec(id: string): Promise<void>;
  /** Kills and removes it. */
  remove(id: string): Promise<void>;
  /** Text in the command lines of processes that it keeps for each container, such as a shim; absent: it keeps none. */
  readonly helperMark?: string;
}

export interface PeerPlace {
  /** Empty and its own. */
  readonly folder: string;
  /** A root file system, as the image is unpacked. */
  readonly rootfs: string;
  /** How the names of its cgroups begin. */
  readonly cgroup: string;
}

/** Undefined when this machine lacks it. */
export type OpenPeer = (place: PeerPlace) => Promise<Peer | undefined>;

const commandMsMax = 60_000;

export function findProgram(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(":").concat("/usr/sbin", "/sbin");
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Runs a command to its end; what it prints on its standard output. Rejects with what it said when it fails. */
export function command(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeout?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: commandMsMax, ...options }, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout);
      else reject(new Error(`${program} ${args[0] ?? ""}: ${stderr.trim().split("\n").at(-1)}`, { cause }));
    });
  });
}

/** As command, for one that leaves a process behind: that gets no pipe of ours, whose end we would wait for. */
export function commandThatLeaves(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: "ignore", timeout: commandMsMax });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ${args.join(" ")}: exit code ${code}`));
    });
  });
}
