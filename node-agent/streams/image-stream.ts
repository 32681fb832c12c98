// Image work that a user asks of a node: answers are JSON, one line each.
import { PassThrough } from "node:stream";
import { type ImageRequest, ImageRequest_Action } from "../../proto/generated/node_pb.ts";
import type { Builder } from "../build/build.ts";
import type { Image } from "../images/images.ts";
import type { ImageLibrary } from "../images/library.ts";
import type { NodeStream, StreamEnd } from "../session-types.ts";
import { runImageCommand } from "./image-commands.ts";
import { pourInput } from "./pour-input.ts";

export interface ImageStreamParts {
  readonly images: ImageLibrary;
  /** Opened by the first build. */
  readonly builder: () => Promise<Builder>;
}

export async function serveImages(
  request: ImageRequest,
  { images, builder }: ImageStreamParts,
  stream: NodeStream,
): Promise<StreamEnd> {
  const say = (value: object) => stream.send({ type: "stdout", data: Buffer.from(`${JSON.stringify(value)}\n`) });
  switch (request.action) {
    case ImageRequest_Action.LIST:
      for (const image of await images.list()) await say(line(image));
      break;
    case ImageRequest_Action.PULL: {
      const onProgress = (progress: object) => void say(progress).catch(() => {});
      const image = await images.pull(request.reference, { credentials: [], onProgress, signal: stream.signal });
      await say(line(image));
      break;
    }
    case ImageRequest_Action.REMOVE:
      if ((await images.find(request.reference)) === undefined)
        throw new Error(`image ${request.reference} is not on this node`);
      await images.remove(request.reference);
      break;
    case ImageRequest_Action.IMPORT: {
      const archive = new PassThrough();
      pourInput(archive, stream).catch((error) => archive.destroy(error));
      const tag = request.reference === "" ? {} : { tag: request.reference };
      for (const image of await images.import(archive, { ...tag, signal: stream.signal })) await say(line(image));
      break;
    }
    case ImageRequest_Action.COMMAND:
      await runImageCommand({ images, builder, stream });
      break;
    case ImageRequest_Action.UNSPECIFIED:
      throw new Error("the request names no action");
  }
  return { exitCode: 0, error: "" };
}

function line({ id, tags, digests, sizeBytes }: Image): object {
  return { id, tags, digests, sizeBytes };
}
