// containerd with its own client ctr and its shim for runc.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "./container-place.ts";
import { startDaemon } from "./daemon.ts";
import { command, findProgram, type OpenPeer } from "./peer.ts";

interface ContainerdEngine extends AsyncDisposable {
  /** Its own client. */
  call(...args: readonly string[]): Promise<string>;
}

/** Undefined when this machine lacks it. */
export async function startContainerdEngine(folder: string): Promise<ContainerdEngine | undefined> {
  const [daemonPath, ctr] = [findProgram("containerd"), findProgram("ctr")];
  if (daemonPath === undefined || ctr === undefined || findProgram("runc") === undefined) return undefined;
  const socket = join(folder, "containerd.sock");
  const config = join(folder, "config.toml");
  const disabled = ["cri", "aufs", "btrfs", "devmapper", "zfs"].map((name) =>
    name === "cri" ? "io.containerd.grpc.v1.cri" : `io.containerd.snapshotter.v1.${name}`,
  );
  writeFileSync(
    config,
    `version = 2\nroot = "${folder}/root"\nstate = "${folder}/state"\ndisabled_plugins = ${JSON.stringify(disabled)}\n` +
      `[grpc]\naddress = "${socket}"\n[ttrpc]\naddress = "${socket}.ttrpc"\n`,
  );
  mkdirSync(join(folder, "root"));
  const call = (...args: readonly string[]) => command(ctr, ["--address", socket, ...args]);
  const daemon = await startDaemon({
    command: [daemonPath, "--config", config],
    logPath: join(folder, "log"),
    mark: folder,
    isReady: () => call("version"),
  });
  return { call, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() };
}

export const openContainerd: OpenPeer = async ({ folder, rootfs, cgroup }) => {
  const engine = await startContainerdEngine(folder);
  if (engine === undefined) return undefined;
  const { call } = engine;
  const run = (id: string, options: readonly string[], ...args: readonly string[]) =>
    call("run", ...options, "--rootfs", "--cgroup", `/${cgroup}/${id}`, rootfs, id, program, ...args);
  return {
    name: "containerd",
    run: async (id) => void (await run(id, ["--rm"])),
    start: async (id) => void (await run(id, ["--detach"], "on")),
    exec: async (id) => void (await call("task", "exec", "--exec-id", `${id}-${performance.now()}`, id, program)),
    remove: async (id) => {
      await call("task", "kill", "--signal", "KILL", id);
      await call("task", "delete", "--force", id);
      await call("container", "delete", id);
    },
    helperMark: `containerd-shim-runc-v2\0-namespace\0default\0-id\0naru-bench-${process.pid}-`,
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
};
