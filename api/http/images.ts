// /naru/v1/nodes/<node>/images: image work on a node, asked through its session.
import { create } from "@bufbuild/protobuf";
import { ImageRequest_Action as Action, FrameSchema, ImageRequestSchema } from "../../proto/generated/node_pb.ts";
import { ApiError } from "../kinds/status.ts";
import { writeHead } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";
import { brokerOf, refuseIfFailed, write } from "./pod-streams.ts";
import type { NodeStream } from "./stream-broker.ts";

const actions: Readonly<Record<string, Action>> = {
  GET: Action.LIST,
  POST: Action.PULL,
  DELETE: Action.REMOVE,
  PUT: Action.IMPORT,
};

/**
 * GET lists, POST ?reference= pulls, DELETE ?reference= removes, PUT imports the archive in the body, POST ?command= does what the
 * first line of the body says, with the archive that follows it. Answers JSON lines as they come; a failure after the first line is a
 * last line `{"error":…}`. `save` and `export` answer with a tar instead, which a
 * failure cuts off.
 */
export async function handleImages(door: Door, exchange: Exchange, node: string): Promise<number> {
  const { method, query, signal, response } = exchange;
  const command = method === "POST" ? query.get("command") : null;
  const action = command === null ? actions[method] : Action.COMMAND;
  if (action === undefined) throw new ApiError("MethodNotAllowed", `images do not take ${method}`);
  const reference = query.get("reference") ?? "";
  if (reference === "" && (action === Action.PULL || action === Action.REMOVE)) {
    throw new ApiError("BadRequest", "the query parameter reference must name an image");
  }
  const request = create(ImageRequestSchema, { action, reference });
  await using stream = await brokerOf(door).open(node, { case: "image", value: request }, signal);
  // The node may refuse in the middle of an import: then its words count, not the broken upload.
  const sending =
    action === Action.IMPORT || action === Action.COMMAND
      ? sendBody(exchange, stream).catch(() => undefined)
      : undefined;
  const frames = stream.frames[Symbol.asyncIterator]();
  let frame = await frames.next();
  refuseIfFailed(frame.value);
  const isTar = command === "save" || command === "export";
  const type = isTar ? "application/x-tar" : "application/jsonl";
  writeHead(response, 200, { "content-type": type, "cache-control": "no-cache, private" });
  for (; frame.done !== true; frame = await frames.next()) {
    const { content } = frame.value;
    if (content.case === "stdout") await write(exchange, content.value);
    else if (content.case === "exit" && content.value.error !== "") {
      if (isTar) {
        response.destroy(new Error(content.value.error));
        return 200;
      }
      await write(exchange, Buffer.from(`${JSON.stringify({ error: content.value.error })}\n`));
    }
  }
  await sending;
  response.end();
  return 200;
}

async function sendBody({ request }: Exchange, stream: NodeStream): Promise<void> {
  for await (const chunk of request as AsyncIterable<Buffer>) {
    await stream.send(create(FrameSchema, { content: { case: "stdin", value: chunk } }));
  }
  await stream.send(create(FrameSchema, { content: { case: "stdinEnd", value: true } }));
}
