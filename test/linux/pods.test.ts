// Pods on a real kernel: from an imported image to Ready, their logs and execs, their limits, and the agent killed beside them.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Container, Pod, PodStatus } from "../../api/kinds/generated/types.ts";
import { makeTestFolder, ownTest } from "../folders.ts";
import type { AgentProcessOptions, FromAgent, ToAgent } from "./agent-process.ts";
import { buildLauncher, buildProgram } from "./rig.ts";

const program = new URL("./agent-process.ts", import.meta.url).pathname;
const waitMsMax = 30_000;

class Node_ implements AsyncDisposable {
  readonly directory = makeTestFolder("pods");
  readonly #options: AgentProcessOptions;
  #child: ChildProcess;
  #messages: FromAgent[] = [];
  #look = () => {};

  constructor() {
    this.#options = {
      directory: this.directory,
      launcherPath: buildLauncher(),
      cgroupParent: `/naru-${ownTest}/${this.directory.slice(-6)}`,
      image: probeImage(this.directory),
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
    const child = fork(program, [JSON.stringify(this.#options)], {
      env,
      execArgv: ["--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    child.on("message", (message: FromAgent) => {
      this.#messages.push(message);
      this.#look();
    });
    return child;
  }
}

// What `docker save` writes, with one layer.
function probeImage(directory: string): string {
  const [root, saved] = [join(directory, "root"), join(directory, "saved")];
  for (const path of [join(root, "etc"), saved]) mkdirSync(path, { recursive: true });
  copyFileSync(buildProgram("probe"), join(root, "probe"));
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
  const manifest = [{ Config: "config.json", RepoTags: ["naru.local/probe:1"], Layers: ["layer.tar"] }];
  writeFileSync(join(saved, "manifest.json"), JSON.stringify(manifest));
  const archive = join(directory, "probe.tar");
  execFileSync("tar", [
    "--create",
    "--file",
    archive,
    "--directory",
    saved,
    "manifest.json",
    "config.json",
    "layer.tar",
  ]);
  return archive;
}

function podOf(name: string, container: Partial<Container>, restartPolicy = "Always"): Pod {
  return {
    metadata: { name, namespace: "default", uid: `uid-${name}` },
    spec: {
      restartPolicy,
      containers: [{ name: "main", image: "naru.local/probe:1", imagePullPolicy: "Never", ...container }],
    },
  };
}

function isReady(status: PodStatus): boolean {
  return status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
}

function terminated(status: PodStatus) {
  return status.containerStatuses?.[0]?.state?.terminated;
}

test("openAgent runs pods on Linux, tells their ends, and goes on after its own", async () => {
  await using node = new Node_();
  await node.find((message) => message.is === "ready");

  const exec = { exec: { command: ["/probe", "exit", "0"] } };
  const stays = podOf("stays", { args: ["stubborn"], readinessProbe: exec });
  node.send({ do: "put", pod: stays });
  const before = await node.status("stays", isReady);
  assert.deepEqual(
    await node.stream({ do: "exec", uid: "uid-stays", container: "main", command: ["/probe", "print", "hello"] }),
    { text: "hello\nhello on stderr\n", exitCode: 0, error: "" },
  );

  node.send({ do: "put", pod: podOf("prints", { args: ["print", "done"] }, "Never") });
  await node.status("prints", ({ phase }) => phase === "Succeeded");
  assert.deepEqual(await node.stream({ do: "log", uid: "uid-prints", container: "main", previous: false }), {
    text: "done\ndone on stderr\n",
    exitCode: 0,
    error: "",
  });

  const limits = { limits: { memory: "16Mi" } };
  node.send({ do: "put", pod: podOf("greedy", { args: ["memory"], resources: limits }, "Never") });
  const { reason, exitCode } = terminated(await node.status("greedy", ({ phase }) => phase === "Failed")) ?? {};
  assert.deepEqual({ reason, exitCode }, { reason: "OOMKilled", exitCode: 137 });

  node.send({ do: "put", pod: podOf("absent", { command: ["/nowhere"] }, "Never") });
  const absent = terminated(await node.status("absent", ({ phase }) => phase === "Failed"));
  assert.deepEqual(
    [absent?.reason, absent?.exitCode, absent?.message],
    ["StartError", 127, "exec /nowhere: no such file or directory"],
  );

  await node.killAgent();
  node.send({ do: "put", pod: { ...stays, status: before } });
  assert.deepEqual(
    await node.stream({ do: "exec", uid: "uid-stays", container: "main", command: ["/probe", "exit", "5"] }),
    { text: "", exitCode: 5, error: "" },
  );
  // What ended is known still, what runs is the same run: an end of it is noticed by the new agent.
  assert.deepEqual(await node.stream({ do: "log", uid: "uid-stays", container: "main", previous: true }), {
    text: "",
    exitCode: 1,
    error: 'previous terminated container "main" in pod "stays" not found',
  });
  node.forget();
  node.send({ do: "delete", pod: stays });
  await node.find((message) => message.is === "gone" && message.name === "stays");
});
