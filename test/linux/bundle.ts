// OCI bundles for tests: a root file system with busybox, a config to change, and naru-oci as its callers run it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { specimen } from "../../node-agent/oci/commands/spec.ts";
import { debianProgram } from "../tools.ts";
import { buildLauncher, buildProgram, unifiedCgroups } from "./rig.ts";

const main = new URL("../../node-agent/oci/main.ts", import.meta.url).pathname;
/** As bin/naru-oci has it. */
const env = { ...process.env, NODE_COMPILE_CACHE: new URL("../../.cache/compiled", import.meta.url).pathname };
const applets = [
  "sh",
  "ls",
  "cat",
  "id",
  "sleep",
  "echo",
  "mount",
  "mkdir",
  "stat",
  "grep",
  "readlink",
  "touch",
  "hostname",
  "env",
  "cut",
  "wc",
  "true",
  "tr",
  "sort",
  "umount",
];

/** The parts of config.json that tests change. */
export interface Config {
  process: Record<string, unknown>;
  root: Record<string, unknown>;
  mounts: Record<string, unknown>[];
  linux: Record<string, unknown>;
  [name: string]: unknown;
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Bundles extends Disposable {
  /** Of the machine; shared with containers at /out. */
  readonly out: string;
  readonly root: string;
  readonly cgroup: string;
  /** A bundle whose program is the shell with this script. */
  bundle(name: string, script: string, change?: (config: Config) => void): string;
  readonly env: NodeJS.ProcessEnv;
  /** What Node gets to run naru-oci. */
  command(args: readonly string[]): readonly string[];
  /** Runs to the end, output and all. */
  oci(args: readonly string[], input?: string): Outcome;
  /** For commands that leave a process behind: its output goes to a file. */
  leave(args: readonly string[]): Promise<Outcome>;
  status(id: string): string | undefined;
  until(condition: () => boolean): Promise<void>;
}

export async function openBundles(): Promise<Bundles> {
  buildLauncher();
  const directory = mkdtempSync(join(tmpdir(), `naru-oci-${process.pid}-`));
  const image = join(directory, "image");
  const out = join(directory, "out");
  const root = join(directory, "root");
  const cgroup = `/naru-oci-test-${process.pid}`;
  mkdirSync(out);
  chmodSync(out, 0o777);
  mkdirSync(join(image, "bin"), { recursive: true });
  copyFileSync(await debianProgram("busybox-static", "bin/busybox"), join(image, "bin", "busybox"));
  copyFileSync(buildProgram("probe"), join(image, "probe"));
  for (const applet of applets) symlinkSync("busybox", join(image, "bin", applet));
  const command = (args: readonly string[]) => [
    ...["--disable-warning=ExperimentalWarning", main, "--root", root],
    ...args,
  ];
  const oci = (args: readonly string[], input = ""): Outcome => {
    const { status, stdout, stderr } = spawnSync(process.execPath, command(args), {
      input,
      env,
      encoding: "utf8",
      timeout: 60_000,
    });
    return { exitCode: status, stdout, stderr };
  };
  return {
    out,
    root,
    cgroup,
    env,
    command,
    oci,
    bundle: (name, script, change = () => {}) => {
      const bundle = join(directory, name);
      mkdirSync(bundle);
      const config = structuredClone(specimen()) as Config;
      Object.assign(config.process, { terminal: false, args: ["sh", "-c", script], rlimits: [] });
      Object.assign(config.root, { path: image });
      Object.assign(config.linux, { cgroupsPath: `${cgroup}/${name}` });
      config.mounts.push({ destination: "/out", type: "bind", source: out, options: ["rbind"] });
      change(config);
      writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
      return bundle;
    },
    leave: (args) => leave(directory, command(args)),
    status: (id) => {
      const { exitCode, stdout } = oci(["state", id]);
      return exitCode === 0 ? (JSON.parse(stdout) as { status: string }).status : undefined;
    },
    until: async (condition) => {
      for (let tries = 0; !condition(); tries++) {
        if (tries > 1000) throw new Error("it does not happen");
        await sleep(10);
      }
    },
    [Symbol.dispose]: () => {
      const ids = oci(["list", "--quiet"]).stdout.split("\n");
      const failures = ids.filter((id) => id !== "").map((id) => oci(["delete", "--force", id]).stderr);
      const trees = unifiedCgroups ? [""] : readdirSync("/sys/fs/cgroup");
      for (const tree of trees) removeGroup(`/sys/fs/cgroup/${tree}${cgroup}`);
      rmSync(directory, { recursive: true, force: true });
      assert.equal(failures.join(""), "");
    },
  };
}

/** A group that is empty, with those below it. One that is not says who is in it. */
export function removeGroup(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(path, entry.name));
  try {
    rmdirSync(path);
  } catch (cause) {
    const pids = readFileSync(join(path, "cgroup.procs"), "utf8").trim().split("\n");
    throw new Error(`remove ${path}, where ${pids.join(", ") || "no process"} is`, { cause });
  }
}

function leave(directory: string, args: readonly string[]): Promise<Outcome> {
  const path = join(directory, `output-${performance.now()}`);
  const output = openSync(path, "w");
  const child = spawn(process.execPath, args, { stdio: ["ignore", output, output], env });
  closeSync(output);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (exitCode) => resolve({ exitCode, stdout: readFileSync(path, "utf8"), stderr: "" }));
  });
}
