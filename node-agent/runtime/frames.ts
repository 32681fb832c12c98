// The launcher's wire format (node-agent/launcher/README.md): frames of length-prefixed strings.

export const frameBytesMax = 4 * 1024 * 1024;

export type FrameField = string | number | Uint8Array;

/** The strings one after the other, without a frame's length: what a launch op is inside a request. */
export function encodeFields(fields: readonly FrameField[]): Buffer {
  return write(fields, 0);
}

/** A whole frame. */
export function encodeFrame(fields: readonly FrameField[]): Buffer {
  const frame = write(fields, 4);
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

function write(fields: readonly FrameField[], start: number): Buffer {
  const texts = fields.map((field) => (typeof field === "number" ? String(field) : field));
  const sizes = texts.map((text) => (typeof text === "string" ? Buffer.byteLength(text) : text.length));
  // Zeroed, so that each string's closing zero is there already.
  const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + size + 5, start));
  let at = start;
  for (const [i, text] of texts.entries()) {
    at = bytes.writeUInt32LE(sizes[i] ?? 0, at);
    if (typeof text === "string") bytes.write(text, at);
    else bytes.set(text, at);
    at += (sizes[i] ?? 0) + 1;
  }
  return bytes;
}
