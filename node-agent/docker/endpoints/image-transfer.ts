// Images that come and go: pull, load, and what a registry is asked.
import type { Door } from "../door.ts";
import { badRequest, DockerProblem, messageOf } from "../http/problem.ts";
import { type Call, jsonLines, type Reply, type Route } from "../http/reply.ts";
import { parseAuthHeader } from "../images/credentials.ts";
import { imageProblem } from "../images/image-problem.ts";
import { familiarName, joinReference } from "../images/names.ts";
import { openPullLines, type StatusLine } from "../images/pull-progress.ts";

export function imageTransferRoutes(door: Door): readonly Route[] {
  return [
    ["POST /images/create", async (call) => create(door, call)],
    ["POST /images/load", async (call) => load(door, call)],
  ];
}

async function create(door: Door, call: Call): Promise<Reply> {
  if (call.query.text("fromSrc") !== "") throw new DockerProblem(501, "import of a root file system is not there yet");
  const repository = call.query.text("fromImage");
  if (repository === "") throw badRequest("neither fromImage nor fromSrc says what to make an image of");
  return pull(door, joinReference(repository, call.query.text("tag")), call);
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

async function pull({ parts }: Door, reference: string, call: Call): Promise<Reply> {
  const credentials = parseAuthHeader(call.headers["x-registry-auth"]);
  const [, name = reference, tag = "latest"] = /^(.*?)(?:[:@]([^/]+))?$/.exec(reference) ?? [];
  return told(async (tell: (line: StatusLine) => void, signal) => {
    const before = (await parts.images.find(reference))?.id;
    const lines = openPullLines();
    let isTold = false;
    let digest = "";
    const image = await parts.images.pull(reference, {
      credentials,
      signal,
      onProgress: (progress) => {
        if (!isTold) tell({ status: `Pulling from ${familiarName(name)}`, id: tag });
        isTold = true;
        if (progress.type === "resolved") digest = progress.digest;
        for (const line of lines(progress)) tell(line);
      },
    });
    if (digest !== "") tell({ status: `Digest: ${digest}` });
    const shown = familiarName(reference);
    tell({
      status:
        before === image.id
          ? `Status: Image is up to date for ${shown}`
          : `Status: Downloaded newer image for ${shown}`,
    });
  }, call.signal);
}

async function load({ parts }: Door, call: Call): Promise<Reply> {
  return told(async (tell) => {
    const images = await parts.images.import(call.body, { signal: call.signal });
    for (const { id, tags } of images) {
      if (tags.length === 0) tell({ stream: `Loaded image ID: ${id}\n` });
      for (const tag of tags) tell({ stream: `Loaded image: ${familiarName(tag)}\n` });
    }
  }, call.signal);
}
