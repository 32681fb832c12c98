// What containers, sandboxes and cgroups may be called: their names become paths, so nothing in them may lead elsewhere. Pure.

const idBytesMax = 200;

/** Of a container or a sandbox: the name of its directory. */
export function checkId(id: string): void {
  if (!/^[a-zA-Z0-9_-][a-zA-Z0-9_.-]*$/.test(id) || id.length > idBytesMax)
    throw new Error(
      `id ${JSON.stringify(id)}: 1 to ${idBytesMax} of a-z, A-Z, 0-9, "_", "." and "-", not beginning with "."`,
    );
}

/** Below the node's own cgroup. */
export function checkCgroupPath(path: string): void {
  const names = path.split("/");
  if (names.some((name) => !/^[a-zA-Z0-9_.:@-]+$/.test(name) || name === "." || name === ".."))
    throw new Error(`cgroup path ${JSON.stringify(path)}: names of letters, digits and _.:@-, with slashes between`);
}
