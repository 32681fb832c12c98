// What RUN --mount asks for, laid out as mounts of the step's container. All of it is gone after the step but caches.
import { createHash } from "node:crypto";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Workshop } from "../images/workshop.ts";
import type { Mount } from "../runtime/runtime.ts";
import type { RunMount } from "./dockerfile/instructions.ts";
import { cleanPath } from "./dockerfile/patterns.ts";

export interface MountParts {
  readonly workshop: Workshop;
  readonly locks: CacheLocks;
  readonly secrets: Readonly<Record<string, Uint8Array>>;
  readonly cwd: string;
  /** Of a stage or an image by name; undefined: the context. */
  readonly layersOf: (from: string) => Promise<readonly string[]>;
  readonly contextPath: string;
  readonly refuse: (message: string) => Error;
}

export interface PreparedMounts {
  readonly mounts: readonly Mount[];
  readonly env: readonly string[];
}

/** What it makes ends with the stack. */
export async function prepareMounts(
  wanted: readonly RunMount[],
  parts: MountParts,
  stack: AsyncDisposableStack,
): Promise<PreparedMounts> {
  const mounts: Mount[] = [];
  const env: string[] = [];
  for (const mount of wanted) {
    switch (mount.type) {
      case "tmpfs":
        mounts.push({
          ...{ destination: targetOf(mount, parts), type: "tmpfs", source: "tmpfs" },
          options: ["nosuid", "nodev", ...(mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`])],
        });
        break;
      case "secret":
        await addSecret(mount, parts, { mounts, env, stack });
        break;
      case "cache":
        mounts.push(await cacheMount(mount, parts, stack));
        break;
      case "bind":
        mounts.push(await bindMount(mount, parts, stack));
        break;
    }
  }
  return { mounts, env };
}

async function addSecret(
  mount: Extract<RunMount, { type: "secret" }>,
  parts: MountParts,
  into: { readonly mounts: Mount[]; readonly env: string[]; readonly stack: AsyncDisposableStack },
): Promise<void> {
  const { workshop, secrets, refuse } = parts;
  const id = mount.id ?? mount.target?.slice(mount.target.lastIndexOf("/") + 1) ?? mount.env ?? "";
  const value = secrets[id];
  if (value === undefined) {
    if (mount.required) throw refuse(`secret ${id} is needed and not given: add --secret id=${id},src=FILE`);
    return;
  }
  if (mount.env !== undefined) into.env.push(`${mount.env}=${Buffer.from(value).toString()}`);
  if (mount.env !== undefined && mount.target === undefined) return;
  const folder = await scratch(workshop.directories.run, workshop, into.stack);
  const file = join(folder, "secret");
  await writeFile(file, value, { mode: mount.mode });
  await chown(file, mount.uid, mount.gid);
  await chmod(file, mount.mode);
  const destination = mount.target === undefined ? `/run/secrets/${id}` : targetOf(mount, parts);
  into.mounts.push({ destination, type: "bind", source: file, options: ["rbind", "ro", "nosuid", "nodev", "noexec"] });
}

async function cacheMount(
  mount: Extract<RunMount, { type: "cache" }>,
  parts: MountParts,
  stack: AsyncDisposableStack,
): Promise<Mount> {
  const { workshop, locks } = parts;
  const destination = targetOf(mount, parts);
  const id = createHash("sha256")
    .update(mount.id ?? destination)
    .digest("hex")
    .slice(0, 32);
  // A private one that is in use gets a sibling.
  const folder = await locks.take(id, mount.sharing, stack);
  const path = join(workshop.directories.kept, "cache", folder);
  if ((await mkdir(path, { recursive: true, mode: 0o755 })) !== undefined) {
    if (mount.from !== undefined) await fill(mount, { parts, path });
    await chmod(path, mount.mode);
    await chown(path, mount.uid, mount.gid);
  }
  return {
    destination,
    type: "bind",
    source: path,
    options: ["rbind", mount.readonly ? "rro" : "rw", "nosuid", "nodev"],
  };
}

async function fill(
  mount: { readonly from: string | undefined; readonly source: string },
  { parts, path }: { readonly parts: MountParts; readonly path: string },
): Promise<void> {
  const { workshop, layersOf, refuse } = parts;
  const root = mount.from === undefined ? `dir:${parts.contextPath}` : workshop.root(await layersOf(mount.from));
  const { tar, done, kill } = workshop.pack(["pack", root, cleanPath(mount.source), ""]);
  try {
    await workshop.unpack(tar, `dir:${path}`, "");
    if ((await done).toString() === "ok\n") throw refuse(`there is no ${mount.source} to mount`);
  } finally {
    kill();
    await done.catch(() => {});
  }
}

// Changes of what is bound are thrown away.
async function bindMount(
  mount: Extract<RunMount, { type: "bind" }>,
  parts: MountParts,
  stack: AsyncDisposableStack,
): Promise<Mount> {
  const { workshop, layersOf, contextPath } = parts;
  const destination = targetOf(mount, parts);
  const path = cleanPath(mount.source);
  const flags = ["nosuid", "nodev"];
  if (mount.from === undefined && mount.readonly) {
    const subPath = path === "" ? {} : { subPath: path };
    return { destination, type: "bind", source: contextPath, ...subPath, options: ["rbind", "rro", ...flags] };
  }
  if (mount.from !== undefined && path === "") {
    const draft = await workshop.begin();
    stack.defer(() => workshop.discard(draft));
    const { type, source, options } = workshop.mount(await layersOf(mount.from), draft);
    return { destination, type, source, options: [...options, ...(mount.readonly ? ["ro"] : []), ...flags] };
  }
  const folder = await scratch(join(workshop.directories.kept, "bound"), workshop, stack);
  await fill(mount, { parts, path: folder });
  return { destination, type: "bind", source: folder, options: ["rbind", mount.readonly ? "rro" : "rw", ...flags] };
}

async function scratch(parent: string, workshop: Workshop, stack: AsyncDisposableStack): Promise<string> {
  const folder = join(parent, workshop.name());
  await mkdir(folder, { recursive: true, mode: 0o755 });
  stack.defer(async () => {
    await workshop.run(["empty", folder]);
    const { rmdir } = await import("node:fs/promises");
    await rmdir(folder);
  });
  return folder;
}

function targetOf({ target = "" }: { readonly target: string | undefined }, { cwd }: MountParts): string {
  return target.startsWith("/") ? target : `/${cleanPath(`${cwd}/${target}`)}`;
}

/** Who uses which cache mount. */
export class CacheLocks {
  readonly #users = new Map<string, number>();
  readonly #queues = new Map<string, Promise<void>>();

  /** The name of a folder that may be used until the stack ends. */
  async take(id: string, sharing: "shared" | "private" | "locked", stack: AsyncDisposableStack): Promise<string> {
    if (sharing === "locked") {
      const before = this.#queues.get(id) ?? Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#queues.set(
        id,
        before.then(() => promise),
      );
      stack.defer(resolve);
      await before;
      return id;
    }
    if (sharing === "shared") return id;
    let name = id;
    for (let n = 1; (this.#users.get(name) ?? 0) > 0; n++) name = `${id}-${n}`;
    this.#users.set(name, 1);
    stack.defer(() => void this.#users.delete(name));
    return name;
  }
}
