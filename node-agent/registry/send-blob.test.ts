// Which bytes of a blob an answer carries, and that no more of it is read.
import { deepEqual } from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { rangeOf, sendBlob } from "./send-blob.ts";

test("rangeOf takes one range from a byte on, and nothing beyond the end", () => {
  const headers = ["bytes=0-", "bytes=2-3", "bytes=4-99", "bytes=5-", "bytes=7-9", "bytes=3-2", "bytes=-2", "lines=1-"];
  deepEqual(
    [...headers, undefined].map((header) => rangeOf(header, 5)),
    [
      { from: 0, to: 5 },
      { from: 2, to: 4 },
      { from: 4, to: 5 },
      "none",
      "none",
      undefined,
      undefined,
      undefined,
      undefined,
    ],
  );
  deepEqual([rangeOf(undefined, 0), rangeOf("bytes=0-", 0)], [undefined, "none"]);
});

test("sendBlob sends the part that is asked for, and says when there is none", async () => {
  deepEqual(
    [await sent("bytes=1-3"), await sent("bytes=6-"), await sent(undefined)],
    [
      { status: 206, range: "bytes 1-3/6", text: "bcd", partsRead: 2 },
      { status: 416, range: "bytes */6", text: "", partsRead: 0 },
      { status: 200, range: undefined, text: "abcdef", partsRead: 3 },
    ],
  );
});

async function sent(range: string | undefined): Promise<object> {
  let partsRead = 0;
  async function* read(from: number) {
    for (let at = from; at < 6; at += 2) {
      partsRead++;
      yield Buffer.from("abcdef".slice(at, at + 2));
    }
  }
  const body = new PassThrough();
  const heads: [status: number, headers: Record<string, unknown>][] = [];
  const writeHead = (status: number, headers: Record<string, unknown>) => {
    heads.push([status, headers]);
    return body;
  };
  const request = { method: "GET", headers: { range } } as unknown as IncomingMessage;
  const response = Object.assign(body, { writeHead }) as unknown as ServerResponse;
  await sendBlob(request, response, { sizeBytes: 6, read });
  const text = (await Array.fromAsync(body)).join("");
  const [status, headers] = heads[0] ?? [];
  return { status, range: headers?.["content-range"], text, partsRead };
}
