// Sandboxes: namespaces that a pod's containers share, held by bind mounts below the run directory.
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listDirectories, readOptional } from "./container-directory.ts";
import type { LauncherClient } from "./launcher-client.ts";
import { sysctlPath, sysctlScope } from "./plan-namespaces.ts";
import type { Runtime, Sandbox } from "./runtime.ts";

/** linux/magic.h: the file system of namespace files. */
const nsfsMagic = 0x6e736673;
/** Beside the namespaces: the handler of what makes the sandbox's containers. */
const runtimeFile = "runtime";

export async function createSandbox(
  client: LauncherClient,
  directory: string,
  ...[id, options]: Parameters<Runtime["createSandbox"]>
): Promise<Sandbox> {
  const own = join(directory, id);
  const sandbox = sandboxAt(directory, id);
  const shared = {
    ...sandbox,
    ...(options.runtime === undefined ? {} : { runtime: options.runtime }),
    ...(options.sharePids === true ? { pidPath: join(own, "pid") } : {}),
    ...(options.idMapping === undefined ? {} : { userPath: join(own, "user"), idMapping: options.idMapping }),
  };
  if (existsSync(own)) {
    if (isWhole(shared)) return shared;
    await removeSandbox(client, directory, id);
  }
  mkdirSync(own, { recursive: true, mode: 0o700 });
  if (options.runtime !== undefined) writeFileSync(join(own, runtimeFile), options.runtime);
  const writes = Object.entries(options.sysctls).flatMap(([name, value]) => {
    const scope = sysctlScope(name);
    const path = sysctlPath(name);
    if (scope === undefined || path === undefined)
      throw new Error(`sysctl ${name}: not a setting of a pod's namespaces`);
    if (scope === "network" && options.hostNetwork)
      throw new Error(`sysctl ${name}: the pod uses the node's network, which it must not change`);
    return [path, value];
  });
  const mapping = options.idMapping === undefined ? "" : `${options.idMapping.hostId} ${options.idMapping.size}`;
  await client.request("sandbox.create", [own, options.hostNetwork ? 1 : 0, options.hostname, mapping, ...writes]);
  if (options.sharePids === true) await client.request("sandbox.hold-pids", [own]);
  return shared;
}

export async function removeSandbox(client: LauncherClient, directory: string, id: string): Promise<void> {
  rmSync(join(directory, id, runtimeFile), { force: true });
  await client.request("sandbox.remove", [join(directory, id)]);
}

export function listSandboxes(directory: string): readonly Sandbox[] {
  return listDirectories(directory)
    .map((id) => {
      const runtime = readOptional(join(directory, id, runtimeFile));
      return { ...sandboxAt(directory, id), ...(runtime === undefined ? {} : { runtime }) };
    })
    .filter(isWhole);
}

function sandboxAt(directory: string, id: string): Sandbox {
  const own = join(directory, id);
  return { id, networkPath: join(own, "net"), ipcPath: join(own, "ipc"), utsPath: join(own, "uts") };
}

/** A restart of the machine leaves the files, but not what was mounted on them. */
function isWhole({ networkPath, ipcPath, utsPath, pidPath = networkPath, userPath = networkPath }: Sandbox): boolean {
  return [networkPath, ipcPath, utsPath, pidPath, userPath].every((path) => {
    try {
      return statfsSync(path).type === nsfsMagic;
    } catch {
      return false;
    }
  });
}
