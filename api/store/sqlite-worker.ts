// The thread that owns the database file, so that its syncs to disk never block the server.
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../lib/assert.ts";
import { type DatabaseOptions, isDiskFull, OutcomeUnknownError, SqliteDatabase } from "./sqlite-database.ts";
import { type Answer, Packer, type Reply, type Request } from "./sqlite-messages.ts";
import { CompactedError } from "./store.ts";

assert(parentPort !== null, "runs as a worker thread only");
const port = parentPort;
const database = new SqliteDatabase(workerData as DatabaseOptions);

port.on("message", ({ id, request }: { id: number; request: Request }) => {
  const packer = new Packer();
  const answer = answerOrFail(request, packer);
  const buffer = packer.pack();
  port.postMessage({ id, answer, buffer } satisfies Reply, [buffer]);
  if (answer.type === "close") port.close();
});
port.postMessage(database.opened());

function answerOrFail(request: Request, packer: Packer): Answer {
  try {
    return answerTo(request, packer);
  } catch (error) {
    if (error instanceof CompactedError) return { type: "compacted", oldestRevision: error.oldestRevision };
    const message = isDiskFull(error) ? "the disk is full" : `SQLite: ${(error as Error).message}`;
    return { type: "failed", message, outcomeUnknown: error instanceof OutcomeUnknownError };
  }
}

function answerTo(request: Request, packer: Packer): Answer {
  switch (request.type) {
    case "batch": {
      const revisionBefore = database.revision;
      const outcomes = database.batch(request.jobs, new Uint8Array(request.buffer), packer);
      return { type: "batch", revisionBefore, revision: database.revision, outcomes };
    }
    case "range":
      return { type: "range", ...database.range(request, packer) };
    case "history":
      return { type: "history", ...database.history(request.prefix, request.afterRevision, packer) };
    case "compact":
      return { type: "compact", done: database.compactStep(request.revision) };
    case "copy":
      return { type: "copy", done: database.copyStep(request.path) };
    case "close":
      database.close();
      return { type: "close" };
  }
}
