// The docker engine with its classic builder or with BuildKit, which it has in it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { OpenImagePeer } from "./image-peer.ts";
import { command, findProgram } from "./peer.ts";
import { startDockerEngine } from "./peer-docker.ts";

const buildMsMax = 120_000;
/** Of the engine's own version: later ones bring BuildKit in a program of its own. */
const packaged = "/usr/bin/docker";

export function openImageDocker(builder: "classic" | "BuildKit"): OpenImagePeer {
  return async ({ folder, cgroup }) => {
    const engine = await startDockerEngine(folder, cgroup);
    if (engine === undefined) return undefined;
    const docker = existsSync(packaged) ? packaged : (findProgram("docker") ?? "");
    const env = {
      ...process.env,
      DOCKER_BUILDKIT: builder === "BuildKit" ? "1" : "0",
      DOCKER_CONFIG: join(folder, "config"),
    };
    const call = (...args: readonly string[]) =>
      command(docker, ["--host", engine.host, ...args], { env, timeout: buildMsMax });
    return {
      prefix: "",
      pull: async (reference) => void (await call("pull", "--quiet", reference)),
      importRoot: async (tar, name) => void (await call("import", tar, name)),
      build: async (context, { tag, noCache }) =>
        void (await call(
          "build",
          "--quiet",
          "--network",
          "none",
          ...(noCache ? ["--no-cache"] : []),
          "--tag",
          tag,
          context,
        )),
      makeContainer: async (image, script) => {
        await call("run", "--network", "none", "--name", "changed", image, "/bin/sh", "-c", script);
        return "changed";
      },
      commit: async (container, tag) => void (await call("commit", container, tag)),
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    };
  };
}
