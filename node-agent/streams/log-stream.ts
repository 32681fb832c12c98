// Sends a container's log: from its beginning, its last lines or a time on, and what it goes on to write when asked to follow.
import { watch } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { LogRequest } from "../../proto/generated/node_pb.ts";
import type { NodeStream, StreamEnd } from "../session-types.ts";
import { findTail, type LogRecord, logFiles, parseRecord } from "./log-records.ts";

export interface LogSource {
  readonly path: string;
  /** True while the container may write more. */
  readonly live: () => boolean;
}

const readBytes = 64 * 1024;
const recordBytesMax = 1024 * 1024;
/** Between looks at a followed file when no change is told, as on file systems without inotify. */
const lookMs = 500;
const newline = 0x0a;

export async function streamLog(request: LogRequest, source: LogSource, stream: NodeStream): Promise<StreamEnd> {
  const sender = openSender(request, stream);
  const files = await filesOf(source, request.follow);
  const { tailLines } = request;
  const from =
    tailLines === undefined || tailLines < 0 ? { file: 0, offset: 0 } : await findTail(files, Number(tailLines));
  for (let index = from.file; index < files.length; index++) {
    const path = files[index] ?? "";
    const reader = new RecordReader(await open(path), index === from.file ? from.offset : 0);
    try {
      await reader.drain(sender);
      if (sender.full || stream.signal.aborted) break;
      if (request.follow && path === source.path) await follow(reader, source, sender, stream.signal);
    } finally {
      await reader.close();
    }
  }
  await sender.flush();
  return { exitCode: 0, error: "" };
}

// The file comes with the first text. To follow it before that, there has to be one.
async function filesOf({ path, live }: LogSource, follow: boolean): Promise<readonly string[]> {
  const files = await logFiles(path);
  if (files.length > 0 || !follow || !live()) return files;
  const file = await open(path, "a", 0o640);
  await file.close();
  return [path];
}

// Drains, and looks again when the folder changes, until the container writes no more.
async function follow(first: RecordReader, source: LogSource, sender: Sender, signal: AbortSignal): Promise<void> {
  let reader = first;
  let wake = () => {};
  let changed = false;
  const onChange = () => {
    changed = true;
    wake();
  };
  const watcher = watch(dirname(source.path), { persistent: false }, onChange);
  watcher.on("error", () => {});
  signal.addEventListener("abort", onChange, { once: true });
  try {
    while (!signal.aborted && !sender.full) {
      // Asked before the reading: what it wrote last is then in the file.
      const live = source.live();
      changed = false;
      await reader.drain(sender);
      await sender.flush();
      if (await reader.rotatedAway(source.path)) {
        await reader.drain(sender);
        const next = new RecordReader(await open(source.path), 0);
        if (reader !== first) await reader.close();
        reader = next;
        continue;
      }
      if (!live) return;
      if (changed) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, lookMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    watcher.close();
    signal.removeEventListener("abort", onChange);
    if (reader !== first) await reader.close();
  }
}

interface Sender {
  /** limitBytes has been reached. */
  readonly full: boolean;
  take(record: LogRecord): Promise<void>;
  flush(): Promise<void>;
}

// Gathers records of one stream into frames.
function openSender(request: LogRequest, stream: NodeStream): Sender {
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
      if (size >= readBytes) await flush();
    },
    flush,
  };
}

class RecordReader {
  readonly #file: FileHandle;
  readonly #block = Buffer.alloc(readBytes);
  #offset: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(file: FileHandle, offset: number) {
    this.#file = file;
    this.#offset = offset;
  }

  /** Everything up to the end of the file. */
  async drain(sender: Sender): Promise<void> {
    while (!sender.full) {
      const { bytesRead } = await this.#file.read(this.#block, 0, readBytes, this.#offset);
      if (bytesRead === 0) return;
      this.#offset += bytesRead;
      const text = Buffer.concat([this.#rest, this.#block.subarray(0, bytesRead)]);
      let start = 0;
      for (let at = text.indexOf(newline); at >= 0; at = text.indexOf(newline, start)) {
        const record = parseRecord(text.subarray(start, at));
        if (record !== undefined) await sender.take(record);
        start = at + 1;
      }
      this.#rest = text.length - start > recordBytesMax ? Buffer.alloc(0) : Buffer.from(text.subarray(start));
    }
  }

  async rotatedAway(path: string): Promise<boolean> {
    const [here, there] = await Promise.all([this.#file.stat(), stat(path).catch(() => undefined)]);
    return there !== undefined && there.ino !== here.ino;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
