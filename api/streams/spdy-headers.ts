// SPDY/3 header blocks: names and values behind lengths, compressed with one zlib context per direction and a fixed dictionary.
// Source: SPDY Protocol, draft 3, section 2.6.10 "Name/Value Header Block".
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from "node:zlib";

export type SpdyHeaders = Readonly<Record<string, string>>;

/** Of one block, uncompressed. */
const blockBytesMax = 64 * 1024;
const pairsMax = 100;

/** Reads blocks in the order of their frames; the first bad one ends it. */
export class HeaderReader implements Disposable {
  readonly #inflate: Inflate = createInflate({ dictionary: dictionary() });
  #chunks: Buffer[] = [];
  #bytes = 0;
  #failure: Error | undefined;

  constructor() {
    this.#inflate.on("data", (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes <= blockBytesMax) {
        this.#chunks.push(chunk);
        return;
      }
      this.#failure ??= new Error(`header block of more than ${blockBytesMax} bytes`);
      this.#inflate.destroy();
    });
    this.#inflate.on("error", (error) => {
      this.#failure ??= error;
    });
  }

  async read(block: Uint8Array): Promise<SpdyHeaders> {
    await new Promise<void>((resolve, reject) => {
      const fail = () => reject(this.#failure ?? new Error("header block cannot be read"));
      this.#inflate.once("close", fail);
      this.#inflate.write(block, (error) => {
        this.#inflate.off("close", fail);
        if (error != null || this.#failure !== undefined) fail();
        else resolve();
      });
    });
    const plain = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return decodePairs(plain);
  }

  [Symbol.dispose](): void {
    this.#inflate.destroy();
  }
}

/** Writes blocks; the caller sends them in the order of its calls. */
export class HeaderWriter implements Disposable {
  readonly #deflate: Deflate = createDeflate({ dictionary: dictionary() });
  #chunks: Buffer[] = [];

  constructor() {
    this.#deflate.on("data", (chunk: Buffer) => this.#chunks.push(chunk));
    this.#deflate.on("error", () => {});
  }

  write(headers: SpdyHeaders): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#deflate.once("close", reject);
      this.#deflate.write(encodePairs(headers));
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => {
        this.#deflate.off("close", reject);
        const block = Buffer.concat(this.#chunks);
        this.#chunks = [];
        resolve(block);
      });
    });
  }

  [Symbol.dispose](): void {
    this.#deflate.destroy();
  }
}

function encodePairs(headers: SpdyHeaders): Buffer {
  const parts: Buffer[] = [uint32(Object.keys(headers).length)];
  for (const [name, value] of Object.entries(headers)) {
    for (const text of [name.toLowerCase(), value]) parts.push(uint32(Buffer.byteLength(text)), Buffer.from(text));
  }
  return Buffer.concat(parts);
}

function decodePairs(plain: Buffer): SpdyHeaders {
  let offset = 0;
  const number = (): number => {
    if (offset + 4 > plain.length) throw new Error("header block ends early");
    offset += 4;
    return plain.readUInt32BE(offset - 4);
  };
  const text = (): string => {
    const length = number();
    if (offset + length > plain.length) throw new Error("header block ends early");
    offset += length;
    return plain.toString("latin1", offset - length, offset);
  };
  const count = number();
  if (count > pairsMax) throw new Error(`header block of more than ${pairsMax} pairs`);
  const headers: [string, string][] = [];
  // Several values of one name come with a zero byte between them; the first one counts.
  for (let i = 0; i < count; i++) headers.push([text().toLowerCase(), text().split("\0")[0] ?? ""]);
  return Object.fromEntries(headers);
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

// Words behind their lengths, then plain text: 1423 bytes.
function dictionary(): Buffer {
  const words =
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization " +
    "cache-control connection content-base content-encoding content-language content-length content-location content-md5 " +
    "content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range " +
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer " +
    "retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status " +
    "200_OK version HTTP/1.1 url public set-cookie keep-alive origin";
  const text =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505" +
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden" +
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable" +
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT" +
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript," +
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
  const parts = words.split(" ").flatMap((word) => {
    const plain = word.replace("_", " ");
    return [uint32(plain.length), Buffer.from(plain)];
  });
  return Buffer.concat([...parts, Buffer.from(text)]);
}
