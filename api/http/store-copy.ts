// GET /naru/v1/store/copy: everything that the store holds, as one SQLite file, taken while the cluster goes on.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { ApiError } from "../kinds/status.ts";
import { writeHead } from "./answer.ts";
import type { Door, Exchange } from "./exchange.ts";

export async function sendStoreCopy({ context }: Door, { response, signal }: Exchange): Promise<number> {
  const { backup } = context.store;
  if (backup === undefined) {
    const why = "this cluster's store is an etcd, whose own tools back it up: etcdctl snapshot save FILE";
    throw new ApiError("BadRequest", why);
  }
  await using copy = await backup();
  const { size } = await stat(copy.path);
  // The length tells the client whether all of it came.
  writeHead(response, 200, { "content-type": "application/vnd.sqlite3", "content-length": size });
  await pipeline(createReadStream(copy.path), response as NodeJS.WritableStream, { signal });
  return 200;
}
