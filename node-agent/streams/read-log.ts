// Reads a container's log record by record: from its beginning or its last lines on, and what it goes on to write when asked to follow.
import { watch } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { findTail, type LogRecord, logFiles, parseRecord } from "./log-records.ts";

export interface LogSource {
  readonly path: string;
  /** True while the container may write more. */
  readonly live: () => boolean;
}

export interface LogRange {
  /** undefined: all of it. */
  readonly tailLines: number | undefined;
  readonly follow: boolean;
}

/** Who takes the records. */
export interface LogSink {
  /** It wants no more. */
  readonly full: boolean;
  take(record: LogRecord): Promise<void>;
  /** Everything that is there now has been taken. */
  flush(): Promise<void>;
}

const readBytes = 64 * 1024;
const recordBytesMax = 1024 * 1024;
/** Between looks at a followed file when no change is told, as on file systems without inotify. */
const lookMs = 500;
const newline = 0x0a;

export async function readLog(range: LogRange, source: LogSource, sink: LogSink, signal: AbortSignal): Promise<void> {
  const { tailLines, follow: isFollowed } = range;
  const files = await filesOf(source, isFollowed);
  const from = tailLines === undefined || tailLines < 0 ? { file: 0, offset: 0 } : await findTail(files, tailLines);
  for (let index = from.file; index < files.length; index++) {
    const path = files[index] ?? "";
    const reader = new RecordReader(await open(path), index === from.file ? from.offset : 0);
    try {
      await reader.drain(sink);
      if (sink.full || signal.aborted) break;
      if (isFollowed && path === source.path) await follow(reader, source, sink, signal);
    } finally {
      await reader.close();
    }
  }
  await sink.flush();
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
async function follow(first: RecordReader, source: LogSource, sink: LogSink, signal: AbortSignal): Promise<void> {
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
    while (!signal.aborted && !sink.full) {
      // Asked before the reading: what it wrote last is then in the file.
      const live = source.live();
      changed = false;
      await reader.drain(sink);
      await sink.flush();
      if (await reader.rotatedAway(source.path)) {
        await reader.drain(sink);
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
  async drain(sink: LogSink): Promise<void> {
    while (!sink.full) {
      const { bytesRead } = await this.#file.read(this.#block, 0, readBytes, this.#offset);
      if (bytesRead === 0) return;
      this.#offset += bytesRead;
      const text = Buffer.concat([this.#rest, this.#block.subarray(0, bytesRead)]);
      let start = 0;
      for (let at = text.indexOf(newline); at >= 0; at = text.indexOf(newline, start)) {
        const record = parseRecord(text.subarray(start, at));
        if (record !== undefined) await sink.take(record);
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
