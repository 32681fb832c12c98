// podman, and buildah, which it builds with: no daemon, a store in a folder.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OpenImagePeer } from "./image-peer.ts";
import { command, findProgram } from "./peer.ts";

const buildMsMax = 120_000;
const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

export function openImagePodman(name: "podman" | "buildah"): OpenImagePeer {
  return async ({ folder, cgroup }) => {
    const program = findProgram(name);
    const [conmon, runtime] = [findProgram("conmon"), findProgram("crun") ?? findProgram("runc")];
    if (program === undefined || conmon === undefined || runtime === undefined) return undefined;
    const config = join(folder, "containers.conf");
    writeFileSync(config, `[engine]\nconmon_path = ["${conmon}"]\n`);
    const env = {
      ...process.env,
      CONTAINERS_CONF: config,
      BUILDAH_RUNTIME: runtime,
      TMPDIR: join(folder, "var"),
    };
    mkdirSync(env.TMPDIR);
    const store = ["--root", join(folder, "root"), "--runroot", join(folder, "run"), "--storage-driver", "overlay"];
    const options =
      name === "buildah"
        ? store
        : [
            ...store,
            ...["--tmpdir", join(folder, "tmp"), "--cgroup-manager", "cgroupfs", "--events-backend", "none"],
            ...["--runtime", runtime, "--conmon", conmon],
          ];
    const call = (...args: readonly string[]) => command(program, [...options, ...args], { env, timeout: buildMsMax });
    const isolated = ["--network", "none", "--cgroup-parent", `/${cgroup}`, ...limits];
    return {
      prefix: "localhost/",
      pull: async (reference) => void (await call("pull", "--quiet", "--tls-verify=false", reference)),
      importRoot: async (tar, image) => {
        if (name === "podman") {
          await call("import", tar, image);
          return;
        }
        const container = (await call("from", "scratch")).trim();
        await call("add", "--quiet", container, tar, "/");
        await call("commit", "--quiet", container, image);
        await call("rm", container);
      },
      build: async (context, { tag, noCache }) =>
        void (await call(
          ...["build", "--quiet", "--layers", "--format", "oci", ...isolated],
          ...[...(noCache ? ["--no-cache"] : []), "--tag", tag, context],
        )),
      ...(name === "buildah"
        ? {}
        : {
            makeContainer: async (image: string, script: string) => {
              await call("run", "--name", "changed", ...isolated, image, "/bin/sh", "-c", script);
              return "changed";
            },
            commit: async (container: string, tag: string) => void (await call("commit", "--quiet", container, tag)),
          }),
      [Symbol.asyncDispose]: async () => {},
    };
  };
}
