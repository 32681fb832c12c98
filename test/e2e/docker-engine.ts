// A node's Docker API for tests, with real docker clients and an image with a shell.

import { existsSync, mkdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipLayer, makeImage, makeTar } from "../registry.ts";
import { debianProgram } from "../tools.ts";
import { type Output, type RunOptions, runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { archiveOf } from "./probe-image.ts";

export interface DockerEngine extends AsyncDisposable {
  readonly cluster: TestCluster;
  readonly socketPath: string;
  /** The machine's docker command, or Debian's. */
  docker(args: readonly string[], options?: DockerRunOptions): Promise<Output>;
  /** Debian's, which is some years older. */
  oldDocker(args: readonly string[], options?: RunOptions): Promise<Output>;
  /** Its stdout without the last newline; fails when the command fails. */
  ok(args: readonly string[], options?: DockerRunOptions): Promise<string>;
}

export interface DockerRunOptions extends RunOptions {
  /** The command's own words say where the engine is. */
  readonly withoutHost?: boolean;
}

const tools =
  "sh ls cat echo sleep id env hostname ip ping wget nslookup true false ps touch mkdir rm grep sed stat head wc seq httpd nc mount chown chmod find stty tty tar cp ln readlink md5sum kill".split(
    " ",
  );

/** "busybox:latest": a shell, a user "ann" with 1000, a folder /data with a file of hers. */
async function busyboxArchive(): Promise<Buffer> {
  const program = await readFile(await debianProgram("busybox-static", "bin/busybox"));
  const hers = { uid: 1000, gid: 1000 };
  const users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
  const tar = await makeTar([
    ...["bin/", "etc/", "home/", "root/"].map((name) => ({ name, type: "directory" as const, mode: 0o755 })),
    { name: "tmp/", type: "directory", mode: 0o1777 },
    { name: "home/ann/", type: "directory", mode: 0o755, ...hers },
    { name: "data/", type: "directory", mode: 0o750, ...hers },
    { name: "data/hello", mode: 0o640, ...hers, content: "from the image\n" },
    { name: "etc/passwd", mode: 0o644, content: users },
    { name: "etc/group", mode: 0o644, content: "root:x:0:\nann:x:1000:\n" },
    { name: "bin/busybox", mode: 0o755, content: program },
    ...tools.map((tool) => ({ name: `bin/${tool}`, type: "symlink" as const, linkname: "busybox" })),
  ]);
  const image = makeImage([gzipLayer(tar)], {
    config: { Cmd: ["sh"], Env: ["PATH=/bin"], Labels: { made: "by a test" } },
  });
  return archiveOf(image, ["docker.io/library/busybox:latest"]);
}

/** Puts Debian's docker command on the path of a machine that has none. */
export async function provideDocker(): Promise<void> {
  const path = process.env["PATH"] ?? "";
  if (path.split(":").some((folder) => existsSync(join(folder, "docker")))) return;
  process.env["PATH"] = `${path}:${dirname(await debianProgram("docker.io", "usr/bin/docker"))}`;
}

/** With the image of `archive`, busybox when absent, on a node that `args` are further words for. */
export async function startDocker(args: readonly string[] = [], archive?: Buffer): Promise<DockerEngine> {
  await provideDocker();
  const cluster = await startCluster({ nodes: 1, args });
  const socketPath = join(cluster.place.runDir, "node-1", "docker.sock");
  const config = join(cluster.place.dataDir, "docker-config");
  mkdirSync(config, { recursive: true });
  const env = { PATH: process.env["PATH"], HOME: config, DOCKER_CONFIG: config, DOCKER_HOST: `unix://${socketPath}` };
  const run = (program: string, args: readonly string[], { withoutHost, ...options }: DockerRunOptions = {}) =>
    runProgram(program, args, {
      timeoutMs: 60_000,
      ...options,
      env: withoutHost === true ? { ...env, DOCKER_HOST: undefined } : env,
    });
  const engine: DockerEngine = {
    cluster,
    socketPath,
    docker: (args, options) => run("docker", args, options),
    oldDocker: async (args, options) => run(await debianProgram("docker.io", "usr/bin/docker"), args, options),
    ok: async (args, options) => {
      const { code, stdout, stderr } = await engine.docker(args, options);
      if (code !== 0) throw new Error(`docker ${args.join(" ")}: exit ${code}\n${stdout}${stderr}`);
      return stdout.replace(/\n$/, "");
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
  try {
    await load(engine, archive ?? (await busyboxArchive()));
    return engine;
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

async function load({ socketPath }: DockerEngine, archive: Buffer): Promise<void> {
  const { request } = await import("node:http");
  await new Promise<void>((resolve, reject) => {
    const call = request({ socketPath, path: "/images/load", method: "POST" }, (response) => {
      response.resume().on("end", () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`load answered ${response.statusCode}`));
      });
    });
    call.on("error", reject);
    call.end(archive);
  });
}
