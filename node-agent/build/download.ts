// ADD of an URL: fetched into a file, verified when a checksum is given.
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { utimes } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { drop, type HttpClient } from "../images/http.ts";

const bytesMax = 16 * 1024 ** 3;
const reportBytes = 1024 * 1024;

export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** The last name of its path; "" when it has none. */
export function urlName(text: string): string {
  const name = decodeURIComponent(new URL(text).pathname.split("/").at(-1) ?? "");
  return /[/\0]/.test(name) || name === ".." || name === "." ? "" : name;
}

/** Rejects with what went wrong in words. */
export async function download(
  http: HttpClient,
  wanted: {
    readonly url: string;
    readonly file: string;
    /** "sha256:…" */
    readonly checksum: string | undefined;
    readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  },
  signal: AbortSignal,
): Promise<void> {
  const { url, file, checksum, onProgress } = wanted;
  if (checksum !== undefined && !/^sha256:[a-f0-9]{64}$/.test(checksum))
    throw new Error(`--checksum takes sha256: and 64 hexadecimal digits, got ${JSON.stringify(checksum)}`);
  const response = await http.send({ method: "GET", url: new URL(url), headers: {} }, signal).catch((cause: Error) => {
    throw new Error(`${url} cannot be fetched: ${cause.message}`, { cause });
  });
  if (response.status !== 200) {
    drop(response);
    throw new Error(`${url} cannot be fetched: its server answered ${response.status}`);
  }
  const totalBytes = Number(response.headers["content-length"] ?? 0);
  const hash = createHash("sha256");
  let doneBytes = 0;
  let told = 0;
  const measured = async function* (parts: AsyncIterable<Buffer>) {
    for await (const part of parts) {
      doneBytes += part.length;
      if (doneBytes > bytesMax) throw new Error(`${url} has more than ${bytesMax} bytes`);
      hash.update(part);
      if (doneBytes - told >= reportBytes) {
        told = doneBytes;
        onProgress(doneBytes, totalBytes);
      }
      yield part;
    }
  };
  await pipeline(response.body, measured, createWriteStream(file, { mode: 0o600 }), { signal });
  if (totalBytes > 0 && doneBytes !== totalBytes)
    throw new Error(`${url} ended after ${doneBytes} of ${totalBytes} bytes`);
  const digest = `sha256:${hash.digest("hex")}`;
  if (checksum !== undefined && digest !== checksum) throw new Error(`${url} has digest ${digest}, not ${checksum}`);
  const changed = Date.parse(response.headers["last-modified"] ?? "");
  const time = Number.isNaN(changed) ? new Date(0) : new Date(changed);
  await utimes(file, time, time);
}
