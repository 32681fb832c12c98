// SPDY/3.1 frames as bytes. Pure. Data passes through as it comes, so that no frame is ever held whole.
// Source: SPDY Protocol, draft 3.1, section 2.2 "Framing" and 2.6 "Control frames".

export const frameTypes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

export const flagFin = 1;

/** Status codes of RST_STREAM. */
export const resetCodes = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5, streamInUse: 8 } as const;

export type SpdyPiece =
  | { readonly kind: "control"; readonly type: number; readonly flags: number; readonly payload: Buffer }
  /** Part of a data frame; `fin` with the last part of the last frame of its stream. */
  | { readonly kind: "data"; readonly streamId: number; readonly data: Buffer; readonly fin: boolean };

const controlBytesMax = 64 * 1024;

/** Cuts what comes off a connection into pieces. Throws when it is not SPDY/3. */
export class SpdyParser {
  #rest: Buffer = Buffer.alloc(0);
  #data: { readonly streamId: number; readonly fin: boolean; left: number } | undefined;

  *push(chunk: Buffer): Generator<SpdyPiece> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const piece = this.#data === undefined ? this.#readHead() : this.#readData(this.#data);
      if (piece === undefined) return;
      if (piece !== "more") yield piece;
    }
  }

  #readHead(): SpdyPiece | "more" | undefined {
    if (this.#rest.length < 8) return undefined;
    const word = this.#rest.readUInt32BE(0);
    const flags = this.#rest.readUInt8(4);
    const length = this.#rest.readUIntBE(5, 3);
    if (word < 0x8000_0000) {
      this.#take(8);
      this.#data = { streamId: word, fin: (flags & flagFin) !== 0, left: length };
      return length === 0 ? this.#readData(this.#data) : "more";
    }
    const version = (word >>> 16) & 0x7fff;
    if (version !== 3) throw new Error(`SPDY version ${version}, only 3 is spoken here`);
    if (length > controlBytesMax) throw new Error(`SPDY control frame of ${length} bytes, at most ${controlBytesMax}`);
    if (this.#rest.length < 8 + length) return undefined;
    this.#take(8);
    return { kind: "control", type: word & 0xffff, flags, payload: this.#take(length) };
  }

  #readData(frame: { readonly streamId: number; readonly fin: boolean; left: number }): SpdyPiece | undefined {
    if (this.#rest.length === 0 && frame.left > 0) return undefined;
    const data = this.#take(Math.min(frame.left, this.#rest.length));
    frame.left -= data.length;
    const isLast = frame.left === 0;
    if (isLast) this.#data = undefined;
    return { kind: "data", streamId: frame.streamId, data, fin: isLast && frame.fin };
  }

  #take(length: number): Buffer {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}

export function dataFrame(streamId: number, data: Uint8Array, fin: boolean): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(streamId, 0);
  head.writeUInt32BE(data.length, 4);
  head.writeUInt8(fin ? flagFin : 0, 4);
  return Buffer.concat([head, data]);
}

export function controlFrame(type: number, flags: number, words: readonly number[], rest: Uint8Array = none): Buffer {
  const frame = Buffer.alloc(8 + words.length * 4);
  frame.writeUInt16BE(0x8003, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt32BE(words.length * 4 + rest.length, 4);
  frame.writeUInt8(flags, 4);
  for (const [index, word] of words.entries()) frame.writeUInt32BE(word >>> 0, 8 + index * 4);
  return Buffer.concat([frame, rest]);
}

const none = new Uint8Array();
