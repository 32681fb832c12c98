// OCI runtimes, naru-oci among them, as an engine would call them: a bundle, and one command for each step.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "./container-place.ts";
import { command, commandThatLeaves, findProgram, type OpenPeer } from "./peer.ts";

const naruOci = new URL("../bin/naru-oci", import.meta.url).pathname;

export function openOciPeer(name: "crun" | "runc" | "naru-oci"): OpenPeer {
  return async ({ folder, rootfs, cgroup }) => {
    const path = name === "naru-oci" ? naruOci : findProgram(name);
    if (path === undefined) return undefined;
    await command(path, ["spec"], { cwd: folder });
    const spec = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as {
      process: { terminal: boolean; args: readonly string[] };
      root: { path: string; readonly: boolean };
      linux: { cgroupsPath?: string };
    };
    const write = (id: string, args: readonly string[]) => {
      const changed = {
        ...spec,
        process: { ...spec.process, terminal: false, args },
        root: { path: rootfs, readonly: true },
        linux: { ...spec.linux, cgroupsPath: `/${cgroup}-${id}` },
      };
      const bundle = join(folder, id);
      mkdirSync(bundle);
      writeFileSync(join(bundle, "config.json"), JSON.stringify(changed));
      return bundle;
    };
    const state = ["--root", join(folder, "state")];
    return {
      name,
      run: async (id) => {
        const bundle = write(id, [program]);
        await command(path, [...state, "run", "--bundle", bundle, id]);
      },
      start: async (id) => {
        const bundle = write(id, [program, "on"]);
        await commandThatLeaves(path, [...state, "run", "--detach", "--bundle", bundle, id]);
      },
      exec: async (id) => void (await command(path, [...state, "exec", id, program])),
      remove: async (id) => void (await command(path, [...state, "delete", "--force", id])),
      [Symbol.asyncDispose]: async () => {},
    };
  };
}
