// A container's log as it lies on disk: CRI records ("time stream F|P text") in a file and its rotated predecessors. Reading, no following.
import { open, stat } from "node:fs/promises";

export interface LogRecord {
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  /** The record ends a line; else the next one of its stream goes on with it. */
  readonly full: boolean;
  readonly text: Buffer;
}

const blockBytes = 64 * 1024;
const rotatedMax = 9;
const newline = 0x0a;
const blank = 0x20;

/** The file and its rotated predecessors that exist, oldest first. */
export async function logFiles(path: string): Promise<readonly string[]> {
  const files: string[] = [];
  for (let number = 1; number <= rotatedMax; number++) {
    const file = `${path}.${number}`;
    if ((await stat(file).catch(() => undefined)) === undefined) break;
    files.unshift(file);
  }
  return (await stat(path).catch(() => undefined)) === undefined ? files : [...files, path];
}

/** undefined for a line that is none: what a crash cut off. */
export function parseRecord(line: Buffer): LogRecord | undefined {
  const afterTime = line.indexOf(blank);
  const afterStream = line.indexOf(blank, afterTime + 1);
  const afterTag = line.indexOf(blank, afterStream + 1);
  if (afterTime <= 0 || afterStream < 0 || afterTag < 0) return undefined;
  const stream = line.toString("latin1", afterTime + 1, afterStream);
  const tag = line.toString("latin1", afterStream + 1, afterTag);
  if ((stream !== "stdout" && stream !== "stderr") || (tag !== "F" && tag !== "P")) return undefined;
  return { time: line.toString("latin1", 0, afterTime), stream, full: tag === "F", text: line.subarray(afterTag + 1) };
}

/** Where the last `lines` lines begin; reads from the end, no more than it must. */
export async function findTail(
  files: readonly string[],
  lines: number,
): Promise<{ readonly file: number; readonly offset: number }> {
  let counted: Counted = { lines: 0, atEnd: true };
  for (let index = files.length - 1; index >= 0; index--) {
    const found = await findTailIn(files[index] ?? "", lines, counted);
    if (found.offset !== undefined) return { file: index, offset: found.offset };
    counted = found;
  }
  return { file: 0, offset: 0 };
}

interface Counted {
  readonly lines: number;
  /** No record has been seen yet. */
  readonly atEnd: boolean;
}

// Goes backwards over newlines; a record counts as a line when it is full, or the log's last.
async function findTailIn(
  path: string,
  wanted: number,
  counted: Counted,
): Promise<Counted & { readonly offset: number | undefined }> {
  await using file = await open(path);
  const { size } = await file.stat();
  if (wanted === 0) return { ...counted, offset: size };
  let { lines, atEnd } = counted;
  const count = (line: Buffer) => {
    const record = parseRecord(line);
    if (record === undefined) return false;
    if (record.full || atEnd) lines++;
    atEnd = false;
    return lines > wanted;
  };
  let position = size;
  /** The beginning of the record that ends behind `position` and began before it. */
  let rest: Buffer = Buffer.alloc(0);
  while (position > 0) {
    const length = Math.min(blockBytes, position);
    position -= length;
    const block = Buffer.alloc(length);
    await file.read(block, 0, length, position);
    const text = Buffer.concat([block, rest]);
    // Everything behind the first newline is whole records.
    let end = text.length;
    let at = text.lastIndexOf(newline, end - 2);
    while (at >= 0) {
      if (count(text.subarray(at + 1, end))) return { lines, atEnd, offset: position + end };
      end = at + 1;
      at = end >= 2 ? text.lastIndexOf(newline, end - 2) : -1;
    }
    rest = Buffer.from(text.subarray(0, end));
  }
  if (count(rest)) return { lines, atEnd, offset: rest.length };
  return { lines, atEnd, offset: undefined };
}
