// A container's files: copied in and out, compared with its image, taken out as a whole, kept as an image.

import { statSync } from "node:fs";
import { mergeEnv } from "../../build/stage-state.ts";
import type { ImageConfig } from "../../images/images.ts";
import { type Change, type ContainerRoot, NoSuchPathError, type PathStat } from "../../images/library.ts";
import { mountAt } from "../containers/mount-at.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { Door } from "../door.ts";
import type { JsonObject } from "../http/json.ts";
import { badRequest, DockerProblem, messageOf, notFound } from "../http/problem.ts";
import { empty, json, type Reply, type Route, readJson, writeTo } from "../http/reply.ts";
import { asking, imageProblem } from "../images/image-problem.ts";
import { joinReference } from "../images/names.ts";
import { parseChanges } from "../images/parse-changes.ts";

const kindNumbers = { modified: 0, added: 1, deleted: 2 } as const;
const kindMask = 0o170000;
const madePlaces = ["/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/sbin/docker-init"];
const kinds = { directory: 0o040000, link: 0o120000 } as const;
/** Go's bits for what a file is, in the mode of X-Docker-Container-Path-Stat. */
const goKinds = { directory: 2 ** 31, link: 2 ** 27 } as const;

export function fileRoutes(door: Door): readonly Route[] {
  const { containers, parts } = door;
  const { images } = parts;
  const find = (params: Readonly<Record<string, string>>) => containers.find(params["id"] ?? "");
  // While nothing runs its mounts are nowhere but on the node.
  const locate = ({ id, mounts }: ContainerRecord, path: string): { root: ContainerRoot; path: string } => {
    const { pid } = containers.life.live(id);
    if (pid > 0) return { root: { containerId: id, pid }, path };
    const place = mountAt(mounts, path);
    return place === undefined || !isFolder(place.directory)
      ? { root: { containerId: id }, path }
      : { root: { containerId: id, mount: place }, path: place.path };
  };
  // One that ends while its process is looked for has the same files afterwards.
  const looking = async <T>(record: ContainerRecord, look: () => Promise<T>): Promise<T> => {
    const { pid } = containers.life.live(record.id);
    try {
      return await look();
    } catch (error) {
      if (pid === 0 || containers.life.live(record.id).pid === pid) throw imageProblem(error);
      return await asking(look());
    }
  };
  const stat = async (record: ContainerRecord, path: string): Promise<PathStat> => {
    if (path === "") throw badRequest("Bad parameters: path cannot be empty");
    const found = await looking(record, () => {
      const { root, path: inside } = locate(record, path);
      return images.statPath(root, inside);
    });
    if (found === undefined) throw notFound(`Could not find the file ${path} in container ${record.name}`);
    return found;
  };
  return [
    [
      "HEAD /containers/{id}/archive",
      async ({ params, query }) => ({
        ...empty(200),
        headers: statHeader(await stat(find(params), query.text("path"))),
      }),
    ],
    [
      "GET /containers/{id}/archive",
      async ({ params, query, signal }) => {
        const record = find(params);
        const path = query.text("path");
        const found = await stat(record, path);
        const tar = await looking(record, () => {
          const { root, path: inside } = locate(record, path);
          return images.readPath(root, inside, signal);
        });
        return { ...streamed(tar, "application/x-tar"), headers: statHeader(found) };
      },
    ],
    [
      "PUT /containers/{id}/archive",
      async ({ params, query, body, signal }) => {
        const record = find(params);
        const path = query.text("path");
        const found = await stat(record, path);
        if ((found.mode & kindMask) === kinds.link) {
          // A link to a folder is one to write into; the helper follows it within the container's root.
        } else if ((found.mode & kindMask) !== kinds.directory) throw badRequest("extraction point is not a directory");
        const mount = mountAt(record.mounts, path)?.mount;
        if (mount?.RW === false) throw new DockerProblem(403, "mounted volume is marked read-only");
        if (record.hostConfig.ReadonlyRootfs && mount === undefined)
          throw new DockerProblem(403, "container rootfs is marked read-only");
        const owner = query.flag("copyUIDGID") ? await ownUser(door, record) : undefined;
        const { root, path: inside } = locate(record, path);
        await images
          .writePath(root, inside, {
            tar: body,
            keepKinds: query.flag("noOverwriteDirNonDir"),
            signal,
            ...(owner === undefined ? {} : { owner }),
          })
          .catch((error: unknown) => {
            throw error instanceof NoSuchPathError ? notFound(messageOf(error)) : imageProblem(error);
          });
        parts.events.emit("container", "extract-to-dir", record.id, { image: record.config.Image, name: record.name });
        return empty(200);
      },
    ],
    [
      "GET /containers/{id}/changes",
      async ({ params }) => {
        const record = find(params);
        const changes = ownChanges(await asking(images.changes(record.id)), record);
        return json(changes.map(({ path, kind }) => ({ Path: path, Kind: kindNumbers[kind] })));
      },
    ],
    [
      "GET /containers/{id}/export",
      async ({ params, signal }) => {
        const record = find(params);
        parts.events.emit("container", "export", record.id, { image: record.config.Image, name: record.name });
        return streamed(await asking(images.exportRoot(record.id, signal)), "application/octet-stream");
      },
    ],
    [
      "POST /commit",
      async (call) => {
        const { query } = call;
        const record = containers.find(query.text("container"));
        const body = await readJson(call);
        const pauses = query.flag("pause", true) && record.phase === "running" && !record.paused;
        const changes = query.texts("changes").flatMap((text) => text.split("\n"));
        const config = parseChanges(changes, withBody(ownConfig(record), bodyConfig(body)));
        if (pauses) await containers.pause(record.id);
        try {
          const repo = query.text("repo");
          const image = await asking(
            images.commit(record.id, {
              ...(repo === "" ? {} : { tag: joinReference(repo, query.text("tag")) }),
              config,
              author: query.text("author"),
              comment: query.text("comment"),
              createdBy: [...record.config.Entrypoint, ...record.config.Cmd].join(" "),
            }),
          );
          parts.events.emit("container", "commit", record.id, { comment: query.text("comment"), imageID: image.id });
          return json({ Id: image.id }, 201);
        } finally {
          if (pauses) await containers.unpause(record.id).catch(() => {});
        }
      },
    ],
  ];
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Whose files become those that are copied in "as the container's user"; root's keep their numbers. */
async function ownUser(
  { parts }: Door,
  { id, imageId, config }: ContainerRecord,
): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  const image = config.User === "" ? undefined : await parts.images.find(imageId);
  if (image === undefined) return undefined;
  const { uid, gid } = await (await parts.images.prepareLayer(id, image, { durable: true })).resolveUser(config.User);
  return { uid, gid };
}

/** Without the places of mounts, which are made when the image has none. */
function ownChanges(changes: readonly Change[], { mounts }: ContainerRecord): readonly Change[] {
  const places = new Set([...madePlaces, ...mounts.map(({ Destination }) => Destination)]);
  const isMade = ({ path, kind }: Change) => kind === "added" && places.has(path);
  const left = changes.filter((change) => !isMade(change));
  // A folder changed only because such a place was made in it.
  const parents = new Set(changes.filter(isMade).map(({ path }) => path.slice(0, path.lastIndexOf("/"))));
  return left.filter(
    ({ path, kind }) =>
      kind !== "modified" || !parents.has(path) || left.some((other) => other.path.startsWith(`${path}/`)),
  );
}

/** What the container ran with is what its image runs with. */
function ownConfig({ config }: ContainerRecord): Partial<ImageConfig> {
  return {
    entrypoint: config.Entrypoint,
    cmd: config.Cmd,
    env: config.Env,
    user: config.User,
    workingDir: config.WorkingDir,
    exposedPorts: config.ExposedPorts,
    volumes: config.Volumes,
    labels: config.Labels,
    ...(config.StopSignal === undefined ? {} : { stopSignal: config.StopSignal }),
  };
}

/** Lists and maps of the client's add to the container's. */
function withBody(own: Partial<ImageConfig>, body: Partial<ImageConfig>): Partial<ImageConfig> {
  const { env = [], labels = {}, exposedPorts = [], volumes = [] } = body;
  const pairs = env.map((entry) => [entry.split("=", 1)[0] ?? "", entry.replace(/^[^=]*=?/, "")] as const);
  return {
    ...own,
    ...body,
    env: mergeEnv(own.env ?? [], pairs),
    labels: { ...own.labels, ...labels },
    exposedPorts: [...new Set([...(own.exposedPorts ?? []), ...exposedPorts])],
    volumes: [...new Set([...(own.volumes ?? []), ...volumes])],
  };
}

/** What the client says of the new image's config; what it leaves out is the container's. */
function bodyConfig(body: JsonObject): Partial<ImageConfig> {
  const given = <K extends keyof ImageConfig>(key: string, name: K, value: () => ImageConfig[K]) =>
    isEmpty(body.raw(key)) ? {} : ({ [name]: value() } as Partial<ImageConfig>);
  return {
    ...given("Cmd", "cmd", () => body.texts("Cmd")),
    ...given("Entrypoint", "entrypoint", () => body.texts("Entrypoint")),
    ...given("Env", "env", () => body.texts("Env")),
    ...given("User", "user", () => body.text("User")),
    ...given("WorkingDir", "workingDir", () => body.text("WorkingDir")),
    ...given("ExposedPorts", "exposedPorts", () => body.names("ExposedPorts")),
    ...given("Volumes", "volumes", () => body.names("Volumes")),
    ...given("Labels", "labels", () => body.textMap("Labels")),
    ...given("StopSignal", "stopSignal", () => body.text("StopSignal")),
    ...given("OnBuild", "onBuild", () => body.texts("OnBuild")),
    ...given("Shell", "shell", () => body.texts("Shell")),
  };
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
}

function statHeader({ name, sizeBytes, mode, mtimeMs, linkTarget }: PathStat): Readonly<Record<string, string>> {
  const kind =
    (mode & kindMask) === kinds.directory ? goKinds.directory : (mode & kindMask) === kinds.link ? goKinds.link : 0;
  const value = {
    name,
    size: sizeBytes,
    mode: kind + (mode & 0o777),
    mtime: new Date(mtimeMs).toISOString(),
    linkTarget,
  };
  return { "X-Docker-Container-Path-Stat": Buffer.from(JSON.stringify(value)).toString("base64") };
}

export function streamed(source: NodeJS.ReadableStream, contentType: string): Extract<Reply, { type: "stream" }> {
  return {
    type: "stream",
    contentType,
    write: async (out) => {
      for await (const part of source) await writeTo(out, typeof part === "string" ? Buffer.from(part) : part);
    },
  };
}
