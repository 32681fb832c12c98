// Images that come and go: pull, push, load, save, import.
import { readPlatform, samePlatform } from "../../build/platforms.ts";
import type { ImageLibrary, Platform, PushOptions } from "../../images/library.ts";
import { hostPlatform } from "../../images/manifest.ts";
import { parseReference } from "../../images/reference.ts";
import type { Door } from "../door.ts";
import { badRequest, messageOf, notFound } from "../http/problem.ts";
import { type Call, jsonLines, type Reply, type Route } from "../http/reply.ts";
import { parseAuthHeader } from "../images/credentials.ts";
import { asking, imageProblem } from "../images/image-problem.ts";
import { familiarName, joinReference } from "../images/names.ts";
import { parseChanges } from "../images/parse-changes.ts";
import { checkPlatform } from "../images/platform.ts";
import { openPullLines, pushLine, type StatusLine } from "../images/pull-progress.ts";
import { streamed } from "./files.ts";

export function imageTransferRoutes(door: Door): readonly Route[] {
  const { images } = door.parts;
  const save = async (names: readonly string[], { query, signal }: Call) => {
    if (query.has("platform"))
      for (const name of names) checkPlatform(query, name, (await asking(images.inspect(name))).platform);
    return streamed(await asking(images.save(names, { signal })), "application/x-tar");
  };
  return [
    ["POST /images/create", async (call) => create(door, call)],
    ["POST /images/load", async (call) => load(door, call)],
    [
      "GET /images/get",
      async (call) =>
        save(
          call.query.texts("names").flatMap((text) => text.split(",")),
          call,
        ),
    ],
    ["GET /images/{name}/get", async (call) => save([call.params["name"] ?? ""], call)],
    ["POST /images/{name}/push", async (call) => push(door, call)],
  ];
}

async function create(door: Door, call: Call): Promise<Reply> {
  const { query } = call;
  if (query.text("fromSrc") !== "") return importTar(door, call);
  const repository = query.text("fromImage");
  if (repository === "") throw badRequest("neither fromImage nor fromSrc says what to make an image of");
  const platform = query.text("platform");
  if (platform !== "" && readPlatform(platform) === undefined)
    throw badRequest(`platform ${JSON.stringify(platform)}: expected such as linux/amd64`);
  return pull(door, joinReference(repository, query.text("tag")), call);
}

async function importTar({ parts }: Door, call: Call): Promise<Reply> {
  const { query } = call;
  if (query.text("fromSrc") !== "-")
    throw badRequest(`fromSrc=${query.text("fromSrc")}: give the archive itself, Naru fetches none`);
  const repo = query.text("repo");
  const config = parseChanges(query.texts("changes").flatMap((text) => text.split("\n")));
  return told(async (tell) => {
    const image = await parts.images.importTar(call.body, {
      ...(repo === "" ? {} : { tag: joinReference(repo, query.text("tag")) }),
      config,
      comment: query.text("message") || "Imported from -",
      signal: call.signal,
    });
    tell({ status: image.id });
  }, call.signal);
}

async function push({ parts }: Door, call: Call): Promise<Reply> {
  const name = call.params["name"] ?? "";
  const wanted = joinReference(name, call.query.text("tag"));
  // Neither tag nor digest stands for all tags.
  const references = isBare(wanted) ? await tagsHere(parts.images, wanted) : [wanted];
  const credentials = parseAuthHeader(call.headers["x-registry-auth"]);
  for (const reference of references)
    checkPlatform(call.query, reference, (await asking(parts.images.inspect(reference))).platform);
  return told(async (tell, signal) => {
    tell({ status: `The push refers to repository [${familiarName(wanted).replace(/:[^/:]+$/, "")}]` });
    for (const reference of references) await pushOne(parts.images, reference, { credentials, tell, signal });
  }, call.signal);
}

function isBare(reference: string): boolean {
  return !reference.includes("@") && !reference.slice(reference.lastIndexOf("/") + 1).includes(":");
}

async function tagsHere(images: ImageLibrary, repository: string): Promise<readonly string[]> {
  const tags = (await images.list()).flatMap(({ tags }) => tags);
  const found = tags.filter((tag) => familiarName(tag).replace(/:[^/:]+$/, "") === familiarName(repository));
  if (found.length === 0) throw notFound(`An image does not exist locally with the tag: ${repository}`);
  return found.toSorted();
}

async function pushOne(
  images: ImageLibrary,
  reference: string,
  options: Pick<PushOptions, "credentials"> & {
    readonly tell: (line: object) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { credentials, tell, signal } = options;
  const states = new Map<string, string>();
  const { digest, sizeBytes } = await images.push(reference, {
    credentials,
    signal,
    onProgress: (progress) => {
      const id = progress.diffId.replace("sha256:", "").slice(0, 12);
      const before = states.get(id);
      states.set(id, progress.state);
      if (before !== progress.state || progress.state === "uploading") tell(pushLine(id, progress));
    },
  });
  const tag = /:([^/:]+)$/.exec(reference)?.[1] ?? "latest";
  tell({ status: `${tag}: digest: ${digest} size: ${sizeBytes}` });
  tell({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: sizeBytes } });
}

/** A refusal before anything was told is the request's; later ones are lines of the answer. */
export async function told(
  work: (tell: (line: object) => void, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<Reply> {
  const waiting: object[] = [];
  let wake = () => {};
  let failure: unknown;
  let done = false;
  const first = Promise.withResolvers<void>();
  const tell = (line: object) => {
    waiting.push(line);
    first.resolve();
    wake();
  };
  const running = work(tell, signal).then(
    () => {
      done = true;
      first.resolve();
      wake();
    },
    (error: unknown) => {
      failure = imageProblem(error);
      done = true;
      first.reject(failure);
      wake();
    },
  );
  await first.promise;
  return jsonLines(async (send) => {
    while (!done || waiting.length > 0) {
      const line = waiting.shift();
      if (line !== undefined) await send(line);
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (done || waiting.length > 0) resolve();
        });
    }
    await running;
    if (failure !== undefined) {
      const message = messageOf(failure);
      await send({ errorDetail: { message }, error: message });
    }
  });
}

async function pull({ parts }: Door, wanted: string, call: Call): Promise<Reply> {
  const credentials = parseAuthHeader(call.headers["x-registry-auth"]);
  const { images } = parts;
  const platform = readPlatform(call.query.text("platform"));
  return told(async (tell: (line: StatusLine) => void, signal) => {
    // Neither tag nor digest stands for all tags.
    const tags = isBare(wanted) ? await images.listTags(wanted, { credentials, signal }) : [undefined];
    for (const tag of tags)
      await pullOne(images, tag === undefined ? wanted : `${wanted}:${tag}`, { credentials, platform, tell, signal });
  }, call.signal);
}

async function pullOne(
  images: ImageLibrary,
  reference: string,
  options: Pick<PushOptions, "credentials"> & {
    readonly platform: Platform | undefined;
    readonly tell: (line: StatusLine) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { credentials, platform, tell, signal } = options;
  const [, name = reference, tag = "latest"] = /^(.*?)(?:[:@]([^/]+))?$/.exec(reference) ?? [];
  const before = (await images.find(reference))?.id;
  const lines = openPullLines();
  let isTold = false;
  let digest = "";
  const image = await images.pull(reference, {
    credentials,
    signal,
    ...(platform === undefined || samePlatform(platform, hostPlatform()) ? {} : { platform }),
    onProgress: (progress) => {
      if (!isTold) tell({ status: `Pulling from ${parseReference(name).repository}`, id: tag });
      isTold = true;
      if (progress.type === "resolved") digest = progress.digest;
      for (const line of lines(progress)) tell(line);
    },
  });
  if (digest !== "") tell({ status: `Digest: ${digest}` });
  const shown = familiarName(reference);
  tell({
    status:
      before === image.id ? `Status: Image is up to date for ${shown}` : `Status: Downloaded newer image for ${shown}`,
  });
}

async function load({ parts }: Door, call: Call): Promise<Reply> {
  return told(async (tell) => {
    const images = await parts.images.import(call.body, { signal: call.signal });
    for (const { id } of images) checkPlatform(call.query, id, (await parts.images.inspect(id)).platform);
    for (const { id, tags } of images) {
      if (tags.length === 0) tell({ stream: `Loaded image ID: ${id}\n` });
      for (const tag of tags) tell({ stream: `Loaded image: ${familiarName(tag)}\n` });
    }
  }, call.signal);
}
