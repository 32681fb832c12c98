// The docker engine with a containerd of its own. Its containers have no network, as ours here have none beyond their own loopback.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { program } from "./container-place.ts";
import { startDaemon } from "./daemon.ts";
import { command, findProgram, type OpenPeer } from "./peer.ts";

const image = "naru-bench-nothing";

/** An engine without images, which may reach registries on loopback without TLS; undefined when this machine has none. */
export async function startDockerEngine(
  folder: string,
  cgroup: string,
): Promise<(AsyncDisposable & { readonly host: string }) | undefined> {
  const [daemonPath, docker] = [findProgram("dockerd"), findProgram("docker")];
  if (daemonPath === undefined || docker === undefined || findProgram("containerd") === undefined) return undefined;
  mkdirSync(join(folder, "root"));
  const host = `unix://${folder}/docker.sock`;
  const daemon = await startDaemon({
    command: [
      daemonPath,
      ...["--host", host, "--data-root", join(folder, "root"), "--exec-root", join(folder, "run")],
      ...["--pidfile", join(folder, "pid"), "--cgroup-parent", `/${cgroup}`],
      ...["--exec-opt", "native.cgroupdriver=cgroupfs"],
      ...["--iptables=false", "--bridge=none", "--storage-driver=overlay2"],
    ],
    logPath: join(folder, "log"),
    mark: folder,
    isReady: () => command(docker, ["--host", host, "version"]),
  });
  return { host, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() };
}

export const openDocker: OpenPeer = async ({ folder, rootfs, cgroup }) => {
  const [engine, docker] = [await startDockerEngine(folder, cgroup), findProgram("docker")];
  if (engine === undefined || docker === undefined) return undefined;
  const call = (...args: readonly string[]) => command(docker, ["--host", engine.host, ...args]);
  const archive = join(folder, "image.tar");
  await command("tar", ["--create", "--file", archive, "--directory", rootfs, "."]);
  await call("import", archive, image);
  return {
    name: "docker",
    run: async (id) => void (await call("run", "--rm", "--network", "none", "--name", id, image, program)),
    start: async (id) => void (await call("run", "--detach", "--network", "none", "--name", id, image, program, "on")),
    exec: async (id) => void (await call("exec", id, program)),
    remove: async (id) => void (await call("rm", "--force", id)),
    helperMark: "containerd-shim-runc-v2\0-namespace\0moby",
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
};
