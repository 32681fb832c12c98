// A node for tests of pods: an agent in a process of its own, which the test talks to and may kill.
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PodStatus } from "../../api/kinds/generated/types.ts";
import { makeTestFolder, ownTest } from "../folders.ts";
import type { AgentProcessOptions, FromAgent, ToAgent } from "./agent-process.ts";
import { buildLauncher, buildProgram } from "./rig.ts";

const program = new URL("./agent-process.ts", import.meta.url).pathname;
const waitMsMax = 30_000;

export interface NodeRigOptions {
  readonly care?: AgentProcessOptions["care"];
  /** The node's disk is a tmpfs of its own with these options, such as "size=64m", which nobody else sees. */
  readonly disk?: string;
  /** MiB of an image that nothing uses. */
  readonly ballastMib?: number;
}

export class NodeRig implements AsyncDisposable {
  readonly directory = makeTestFolder("pods");
  readonly options: AgentProcessOptions;
  readonly #disk: string | undefined;
  #child: ChildProcess;
  #messages: FromAgent[] = [];
  #look = () => {};

  constructor({ care, disk, ballastMib }: NodeRigOptions = {}) {
    this.#disk = disk;
    this.options = {
      directory: this.directory,
      launcherPath: buildLauncher(),
      cgroupParent: `/naru-${ownTest}/${this.directory.slice(-6)}`,
      images: [
        imageArchive(this.directory, "probe", (root) => {
          for (const name of ["probe", "flood"]) copyFileSync(buildProgram(name), join(root, name));
        }),
        ...(ballastMib === undefined
          ? []
          : [
              imageArchive(this.directory, "ballast", (root) =>
                writeFileSync(join(root, "ballast"), randomBytes(ballastMib * 2 ** 20)),
              ),
            ]),
      ],
      ...(care === undefined ? {} : { care }),
    };
    this.#child = this.#start();
  }

  send(message: ToAgent): void {
    this.#child.send(message);
  }

  async killAgent(): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
    this.#messages = [];
    this.#child = this.#start();
    await this.find((message) => message.is === "ready");
  }

  /** The first message from now or before that fits. */
  async find<T>(choose: (message: FromAgent) => T | false | undefined): Promise<T> {
    const limit = AbortSignal.timeout(waitMsMax);
    for (;;) {
      for (const message of this.#messages) {
        const found = choose(message);
        if (found !== false && found !== undefined) return found;
      }
      if (limit.aborted)
        throw new Error(`waited in vain; heard ${JSON.stringify(this.#messages.slice(-3), undefined, 1)}`);
      await new Promise<void>((resolve) => {
        this.#look = resolve;
        limit.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  status(name: string, is: (status: PodStatus) => boolean): Promise<PodStatus> {
    return this.find(
      (message) => message.is === "status" && message.name === name && is(message.status) && message.status,
    );
  }

  async stream(message: ToAgent): Promise<object> {
    this.#messages = this.#messages.filter(({ is }) => is !== "streamed");
    this.send(message);
    const { is: _, ...rest } = await this.find((heard) => heard.is === "streamed" && heard);
    return rest;
  }

  /** What the node is short of, and which images it has. */
  async look(): Promise<{ readonly pressures: readonly string[]; readonly images: readonly string[] }> {
    this.#messages = this.#messages.filter(({ is }) => is !== "seen");
    this.send({ do: "look" });
    const { is: _, ...seen } = await this.find((heard) => heard.is === "seen" && heard);
    return seen;
  }

  /** Messages from here on only. */
  forget(): void {
    this.#messages = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child.connected) {
        this.send({ do: "tearDown" });
        await this.find((message) => message.is === "tornDown");
      }
    } finally {
      this.#child.kill("SIGKILL");
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  #start(): ChildProcess {
    // Else it would take itself for a test.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = fork(program, [JSON.stringify(this.options)], {
      env,
      ...(this.#disk === undefined
        ? { execArgv }
        : { execPath: "unshare", execArgv: [...ownDisk(join(this.directory, "data"), this.#disk), ...execArgv] }),
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    child.on("message", (message: FromAgent) => {
      this.#messages.push(message);
      this.#look();
    });
    return child;
  }
}

const execArgv = ["--disable-warning=ExperimentalWarning"];

/** Words for unshare(1): this Node.js in a mount namespace of its own, which takes the disk along when it ends. */
function ownDisk(path: string, options: string): readonly string[] {
  mkdirSync(path, { recursive: true });
  const script = 'mount -t tmpfs -o "$1" naru-test "$0" && shift && exec "$@"';
  return ["--mount", "--propagation", "private", "sh", "-c", script, path, options, process.execPath];
}

// What `docker save` writes, with one layer.
function imageArchive(directory: string, name: string, fill: (root: string) => void): string {
  const [root, saved] = [join(directory, name, "root"), join(directory, name, "saved")];
  for (const path of [join(root, "etc"), saved]) mkdirSync(path, { recursive: true });
  fill(root);
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/:/\n");
  const layer = join(saved, "layer.tar");
  execFileSync("tar", ["--create", "--file", layer, "--directory", root, "."]);
  const digest = createHash("sha256").update(readFileSync(layer)).digest("hex");
  const config = {
    architecture: process.arch === "x64" ? "amd64" : "arm64",
    os: "linux",
    config: { Entrypoint: ["/probe"], Env: ["PATH=/"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
  };
  writeFileSync(join(saved, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [`naru.local/${name}:1`], Layers: ["layer.tar"] }];
  writeFileSync(join(saved, "manifest.json"), JSON.stringify(manifest));
  const archive = join(directory, `${name}.tar`);
  const parts = ["manifest.json", "config.json", "layer.tar"];
  execFileSync("tar", ["--create", "--file", archive, "--directory", saved, ...parts]);
  return archive;
}
