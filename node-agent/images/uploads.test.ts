// Uploads on a folder, and on a disk that fills up.
import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "../../lib/random.ts";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { makeTestFolder } from "../../test/folders.ts";
import { Uploads } from "./uploads.ts";

const ann = { user: "ann", repository: "team/app" };
const digestOf = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function openUploads(directory = makeTestFolder("uploads")) {
  const clock = virtualClock();
  const uploads = new Uploads({ directory, clock, random: seededRandom(1) });
  await uploads.open();
  return { uploads, clock, files: () => readdirSync(join(directory, "uploads")) };
}

test("Uploads gathers parts in order and hands over what has the digest", async () => {
  const { uploads, files } = await openUploads();
  const { id } = uploads.start(ann);
  await uploads.append(id, ann, { body: once(Buffer.from("ab")), fromByte: 0 });
  await rejects(uploads.append(id, ann, { body: once(Buffer.from("x")), fromByte: 5 }), { reason: "range" });
  await uploads.append(id, ann, { body: once(Buffer.from("c")), fromByte: undefined });
  const taken: unknown[] = [];
  const take = async (path: string, sizeBytes: number) => void taken.push(readFileSync(path, "utf8"), sizeBytes);
  await uploads.finish(id, ann, { digest: digestOf(Buffer.from("abc")), take });
  deepEqual([taken, files()], [["abc", 3], []]);
  uploads[Symbol.dispose]();
});

test("Uploads keeps nothing of what has another digest, nor shows it to others", async () => {
  const { uploads, files } = await openUploads();
  const { id } = uploads.start(ann);
  throws(() => uploads.find(id, { ...ann, user: "bob" }), { reason: "unknown" });
  throws(() => uploads.find(id, { ...ann, repository: "other" }), { reason: "unknown" });
  await uploads.append(id, ann, { body: once(Buffer.from("ab")), fromByte: 0 });
  const take = async () => {};
  await rejects(uploads.finish(id, ann, { digest: digestOf(Buffer.from("x")), take }), { reason: "digest" });
  throws(() => uploads.find(id, ann), { reason: "unknown" });
  deepEqual(files(), []);
  uploads[Symbol.dispose]();
});

test("Uploads collects what nobody finishes, and what a killed agent left", async () => {
  const directory = makeTestFolder("uploads");
  const { uploads, clock, files } = await openUploads(directory);
  const { id } = uploads.start(ann);
  await uploads.append(id, ann, { body: once(randomBytes(10)), fromByte: 0 });
  await clock.advance(29 * 60_000);
  equal(files().length, 1);
  await clock.advance(3 * 60_000);
  // The file goes outside of virtual time.
  while (files().length > 0) await new Promise((resolve) => setImmediate(resolve));
  throws(() => uploads.find(id, ann), { reason: "unknown" });
  const { id: second } = uploads.start(ann);
  await uploads.append(second, ann, { body: once(randomBytes(10)), fromByte: 0 });
  deepEqual((await openUploads(directory)).files(), []);
  uploads[Symbol.dispose]();
});

test("Uploads has room for so many of one user, and then for others", async () => {
  const { uploads } = await openUploads();
  for (let i = 0; i < 64; i++) uploads.start(ann);
  throws(() => uploads.start(ann), { reason: "many" });
  equal(uploads.start({ ...ann, user: "bob" }).doneBytes, 0);
  uploads[Symbol.dispose]();
});

test("Uploads gives back the room of what does not fit on the disk", async () => {
  const directory = join(makeTestFolder("uploads"), "small");
  mkdirSync(directory);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "naru-test", directory]);
  try {
    const { uploads, files } = await openUploads(directory);
    const { id } = uploads.start(ann);
    const append = uploads.append(id, ann, { body: once(randomBytes(512 * 1024)), fromByte: 0 });
    await rejects(append, { name: "PullError", failure: "NoSpace" });
    deepEqual(files(), []);
    uploads[Symbol.dispose]();
  } finally {
    execFileSync("umount", [directory]);
  }
});
