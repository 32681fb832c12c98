// One OCI runtime of the machine (runc, crun, …): bundles on disk, and the commands that no container waits for. What starts a process
// is a launch plan, which its monitor performs (oci-plan.ts).
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type OciConfig, ociResources, writeOciJson } from "./oci-config.ts";
import { type OciCommand, stageName } from "./oci-plan.ts";
import { ociExecProcess } from "./oci-process.ts";
import type { OciProgram } from "./oci-programs.ts";
import { type ContainerSpec, type ExecRequest, LaunchError } from "./runtime.ts";

const commandMsMax = 120_000;
const featuresMsMax = 10_000;
const outputBytesMax = 1024 * 1024;
const pathDefault = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export class OciRuntime {
  readonly #program: OciProgram;
  /** Where it keeps its own state; may vanish when the machine restarts. */
  readonly #root: string;

  constructor(program: OciProgram, directory: string) {
    this.#program = program;
    this.#root = join(directory, program.handler);
    mkdirSync(this.#root, { recursive: true, mode: 0o700 });
  }

  /** With a log of its own it says errors in plain words where others would find them, and warnings to nobody. */
  get command(): OciCommand {
    const { path, args } = this.#program;
    return { words: [path, "--root", this.#root, "--log", "/dev/null", ...args], env: environment() };
  }

  /** What it says it can; undefined when it is too old to be asked. */
  features(): string | undefined {
    const { status, stdout } = spawnSync(this.#program.path, [...this.#program.args, "features"], {
      encoding: "utf8",
      timeout: featuresMsMax,
      maxBuffer: outputBytesMax,
    });
    return status === 0 ? stdout : undefined;
  }

  /** An empty bundle in the container's directory, whatever was there before; `mounts` are its staged ones. */
  makeBundle(containerDirectory: string, config: OciConfig): string {
    const bundle = bundleOf(containerDirectory);
    rmSync(bundle, { recursive: true, force: true });
    mkdirSync(join(bundle, stageName), { recursive: true, mode: 0o700 });
    writeFileSync(join(bundle, "config.json"), writeOciJson(config), { mode: 0o600 });
    return bundle;
  }

  /** For one process more; removed by whoever asked, once that runs, or with the container. */
  makeExec(containerDirectory: string, spec: ContainerSpec, request: ExecRequest): string {
    const directory = mkdtempSync(join(containerDirectory, "exec-"));
    writeFileSync(join(directory, "process.json"), writeOciJson(ociExecProcess(spec, request)), { mode: 0o600 });
    return directory;
  }

  async kill(id: string, signal: number): Promise<void> {
    await this.#run(["kill", id, String(signal)]);
  }

  async update({ id, resources }: ContainerSpec, containerDirectory: string, countsSwap: boolean): Promise<void> {
    const path = join(bundleOf(containerDirectory), "resources.json");
    writeFileSync(path, JSON.stringify(ociResources(resources, { countsSwap })), { mode: 0o600 });
    await this.#run(["update", "--resources", path, id]);
  }

  /** Ends what still runs; silent when it knows nothing of it. */
  async delete(id: string): Promise<void> {
    await this.#run(["delete", "--force", id]).catch((error: unknown) => {
      if (!/does not exist|no such file|not found/i.test(String(error))) throw error;
    });
  }

  #run(args: readonly string[]): Promise<string> {
    const { words, env } = this.command;
    const [program = "", ...options] = words;
    return new Promise((resolve, reject) => {
      execFile(
        program,
        [...options, ...args],
        {
          env: Object.fromEntries(env.map((line) => line.split(/=(.*)/s, 2))),
          timeout: commandMsMax,
          maxBuffer: outputBytesMax,
        },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(new Error(`${this.#program.handler} ${args[0]}: ${oneLine(stderr) || error.message}`));
        },
      );
    });
  }
}

/** Where a container's bundle lies. */
export function bundleOf(containerDirectory: string): string {
  return join(containerDirectory, "bundle");
}

/** What a runtime said when it could not: in its own words, with the exit code that says what kind of no it is. */
export function ociLaunchError(words: string, cause: unknown): LaunchError {
  return new LaunchError(words, exitCodeOf(words), { cause });
}

// They all tell of exec(2) in their own words.
function exitCodeOf(words: string): number {
  if (!/\bexec|executable/i.test(words)) return 128;
  if (/no such file|not found/i.test(words)) return 127;
  return /permission denied|is a directory|exec format error/i.test(words) ? 126 : 128;
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, " ");
}

function environment(): readonly string[] {
  return [`PATH=${process.env["PATH"] ?? pathDefault}`];
}
