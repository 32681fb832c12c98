// Sends a container's log: from its beginning, its last lines or a time on, and what it goes on to write when asked to follow.
import type { LogRequest } from "../../proto/generated/node_pb.ts";
import type { NodeStream, StreamEnd } from "../session-types.ts";
import { type LogSink, type LogSource, readLog } from "./read-log.ts";

const sendBytes = 64 * 1024;

export async function streamLog(request: LogRequest, source: LogSource, stream: NodeStream): Promise<StreamEnd> {
  const { tailLines, follow } = request;
  const range = { tailLines: tailLines === undefined || tailLines < 0 ? undefined : Number(tailLines), follow };
  await readLog(range, source, openSink(request, stream), stream.signal);
  return { exitCode: 0, error: "" };
}

// Gathers records of one stream into frames.
function openSink(request: LogRequest, stream: NodeStream): LogSink {
  const sinceMs = request.sinceEpochMs === undefined ? undefined : Number(request.sinceEpochMs);
  let left = request.limitBytes === undefined ? Number.POSITIVE_INFINITY : Number(request.limitBytes);
  let parts: Buffer[] = [];
  let size = 0;
  let type: "stdout" | "stderr" = "stdout";
  const midLine = { stdout: false, stderr: false };
  const flush = async () => {
    if (size === 0) return;
    const data = Buffer.concat(parts);
    parts = [];
    size = 0;
    await stream.send({ type, data });
  };
  const add = (bytes: Buffer) => {
    const kept = bytes.length > left ? bytes.subarray(0, left) : bytes;
    left -= kept.length;
    size += kept.length;
    parts.push(kept);
  };
  return {
    get full() {
      return left <= 0;
    },
    take: async (record) => {
      if (left <= 0) return;
      if (sinceMs !== undefined && Date.parse(record.time) < sinceMs) return;
      if (record.stream !== type) await flush();
      type = record.stream;
      if (request.timestamps && !midLine[type]) add(Buffer.from(`${record.time} `));
      add(record.text);
      if (record.full) add(Buffer.from("\n"));
      midLine[type] = !record.full;
      if (size >= sendBytes) await flush();
    },
    flush,
  };
}
