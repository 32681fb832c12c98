// Logs read from files as the launcher writes them, rotated ones among them.
import assert from "node:assert/strict";
import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type LogRequest, LogRequestSchema } from "../../proto/generated/node_pb.ts";
import type { NodeStream } from "../session-types.ts";
import { streamLog } from "./log-stream.ts";

interface Place extends AsyncDisposable {
  readonly path: string;
  read(request: Partial<LogRequest>, live?: () => boolean): Promise<string>;
}

async function openPlace(): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), `naru-logs-${process.pid}-`));
  const path = join(dir, "0.log");
  return {
    path,
    read: async (request, live = () => false) => {
      const reader = openReader();
      await streamLog(create(LogRequestSchema, request as never), { path, live }, reader.stream);
      return reader.text();
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

function openReader(onText: (text: string) => void = () => {}) {
  let text = "";
  const stream: NodeStream = {
    request: { case: undefined },
    input: (async function* () {})(),
    send: async ({ data }) => {
      text += Buffer.from(data).toString();
      onText(text);
    },
    signal: new AbortController().signal,
  };
  return { stream, text: () => text };
}

function record(second: number, text: string, tag = "F", stream = "stdout"): string {
  return `2026-01-01T00:00:${String(second).padStart(2, "0")}.000000000Z ${stream} ${tag} ${text}\n`;
}

async function write({ path }: Place): Promise<void> {
  await writeFile(`${path}.2`, record(1, "one") + record(2, "two"));
  await writeFile(`${path}.1`, record(3, "thr", "P") + record(3, "ee") + record(4, "four", "F", "stderr"));
  await writeFile(path, record(5, "five") + record(6, "six"));
}

const cases: readonly (readonly [string, Partial<LogRequest>, string])[] = [
  ["everything, oldest first", {}, "one\ntwo\nthree\nfour\nfive\nsix\n"],
  ["the last lines of one file", { tailLines: 1n }, "six\n"],
  ["the last lines over rotated files, parts of a line as one", { tailLines: 4n }, "three\nfour\nfive\nsix\n"],
  ["no lines", { tailLines: 0n }, ""],
  ["all when there are fewer", { tailLines: 99n }, "one\ntwo\nthree\nfour\nfive\nsix\n"],
  ["what is new enough", { sinceEpochMs: BigInt(Date.UTC(2026, 0, 1, 0, 0, 5)) }, "five\nsix\n"],
  ["no more bytes than asked", { limitBytes: 6n }, "one\ntw"],
  [
    "times, once a line",
    { timestamps: true, tailLines: 4n, limitBytes: 40n },
    "2026-01-01T00:00:03.000000000Z three\n202",
  ],
];

for (const [title, request, expected] of cases) {
  test(`streamLog gives ${title}`, async () => {
    await using place = await openPlace();
    await write(place);
    assert.equal(await place.read(request), expected);
  });
}

test("streamLog counts what ends without a newline as the last line", async () => {
  await using place = await openPlace();
  await write(place);
  await writeFile(place.path, record(5, "five") + record(6, "no ", "P") + record(6, "end", "P"));
  const tails = [await place.read({ tailLines: 1n }), await place.read({ tailLines: 3n })];
  assert.deepEqual(tails, ["no end", "four\nfive\nno end"]);
});

test("streamLog finds the tail of a long file by its end", async () => {
  await using place = await openPlace();
  const lines = Array.from({ length: 20_000 }, (_, index) => record(1, `line ${index}`));
  await writeFile(place.path, lines.join(""));
  assert.equal(await place.read({ tailLines: 3n }), "line 19997\nline 19998\nline 19999\n");
});

test("streamLog leaves out what a crash cut off", async () => {
  await using place = await openPlace();
  await writeFile(place.path, `${record(1, "one")}2026-01-01T00:00:02.000000000Z std`);
  assert.equal(await place.read({}), "one\n");
});

test("streamLog follows through a rotation until the container has ended", async () => {
  await using place = await openPlace();
  await write(place);
  let live = true;
  const steps: readonly (readonly [string, () => Promise<void>])[] = [
    [
      "six\n",
      async () => {
        await appendFile(place.path, record(7, "seven"));
        await rename(place.path, `${place.path}.1`);
        await writeFile(place.path, record(8, "eight"));
      },
    ],
    [
      "eight\n",
      async () => {
        await appendFile(place.path, record(9, "nine"));
        live = false;
      },
    ],
  ];
  const done = new Set<string>();
  const reader = openReader((text) => {
    const step = steps.find(([end]) => text.endsWith(end) && !done.has(end));
    if (step === undefined) return;
    done.add(step[0]);
    step[1]().catch(() => {});
  });
  const request = create(LogRequestSchema, { follow: true, tailLines: 1n });
  await streamLog(request, { path: place.path, live: () => live }, reader.stream);
  assert.equal(reader.text(), "six\nseven\neight\nnine\n");
});

test("of a run that has written nothing there is nothing yet, and what it writes then streamLog", async () => {
  await using place = await openPlace();
  assert.equal(await place.read({}), "");
  let live = true;
  const reader = openReader(() => {
    live = false;
  });
  const following = streamLog(
    create(LogRequestSchema, { follow: true }),
    { path: place.path, live: () => live },
    reader.stream,
  );
  await appendFile(place.path, record(1, "first"));
  await following;
  assert.equal(reader.text(), "first\n");
});
