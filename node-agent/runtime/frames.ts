// The launcher's wire format (node-agent/launcher/README.md): frames of length-prefixed strings.

export const frameBytesMax = 4 * 1024 * 1024;

/** A list is a string that holds strings itself, as a launch op is. */
export type FrameField = string | number | Uint8Array | readonly FrameField[];

/** The strings one after the other, without a frame's length: what a launch op is inside a request. */
export function encodeFields(fields: readonly FrameField[]): Buffer {
  return Buffer.from(textOf(fields), "latin1");
}

/** A whole frame. */
export function encodeFrame(fields: readonly FrameField[]): Buffer {
  const frame = Buffer.from(`\0\0\0\0${textOf(fields)}`, "latin1");
  if (frame.length > frameBytesMax)
    throw new RangeError(`a frame has ${frame.length} bytes, at most ${frameBytesMax} fit`);
  frame.writeUInt32LE(frame.length - 4, 0);
  return frame;
}

/** A frame's strings; throws on bytes that are not a list of strings. */
export function decodeFields(bytes: Buffer): readonly Buffer[] {
  const fields: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 5) throw new Error("the launcher sent a malformed frame");
    const size = bytes.readUInt32LE(at);
    if (size > bytes.length - at - 5) throw new Error("the launcher sent a malformed frame");
    fields.push(bytes.subarray(at + 4, at + 4 + size));
    at += size + 5;
  }
  return fields;
}

/** Collects bytes of a stream into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are whole now. */
  push(bytes: Buffer): readonly (readonly Buffer[])[] {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: (readonly Buffer[])[] = [];
    while (rest.length >= 4) {
      const size = rest.readUInt32LE(0);
      if (size > frameBytesMax) throw new Error("the launcher sent a frame that is too large");
      if (rest.length - 4 < size) break;
      frames.push(decodeFields(rest.subarray(4, 4 + size)));
      rest = rest.subarray(4 + size);
    }
    this.#rest = rest;
    return frames;
  }
}

const notAscii = /[^\p{ASCII}]/u;
/** Of almost all strings. */
const smallSizes = Array.from({ length: 128 }, (_, size) => sizeText(size));

/** Bytes as characters of the same numbers: joined as text, hundreds of short strings are many times faster than as buffers. */
function textOf(fields: readonly FrameField[]): string {
  let text = "";
  for (const field of fields) {
    const bytes = bytesOf(field);
    text += `${sizeOf(bytes.length)}${bytes}\0`;
  }
  return text;
}

function bytesOf(field: FrameField): string {
  if (typeof field === "number") return String(field);
  if (typeof field === "string") return notAscii.test(field) ? Buffer.from(field).toString("latin1") : field;
  if (field instanceof Uint8Array)
    return Buffer.from(field.buffer, field.byteOffset, field.byteLength).toString("latin1");
  return textOf(field);
}

/** Little-endian. */
function sizeOf(size: number): string {
  return smallSizes[size] ?? sizeText(size);
}

function sizeText(size: number): string {
  return String.fromCharCode(size & 255, (size >> 8) & 255, (size >> 16) & 255, size >>> 24);
}
