import assert from "node:assert/strict";
import { test } from "node:test";
import { addImage, findImage, planCollection, removeName } from "./changes.ts";
import type { ImageRecord, Records } from "./records.ts";

const config = {
  entrypoint: [],
  cmd: [],
  env: [],
  workingDir: "",
  user: "",
  stopSignal: undefined,
  exposedPorts: [],
  volumes: [],
  labels: {},
};
const id = (digit: string) => `sha256:${digit.repeat(64)}`;
const image = (digit: string, given: Partial<ImageRecord> = {}): ImageRecord => ({
  id: id(digit),
  tags: [],
  digests: [],
  layers: [],
  blobs: [],
  config,
  usedAtMs: 0,
  ...given,
});
const none: Records = { version: 1, images: [], layerBytes: {} };

test("addImage takes a tag from the image that had it, and joins names of the same image", () => {
  const first = addImage(none, image("a", { tags: ["h/x:1"], digests: ["h/x@1"] }), {});
  const second = addImage(first, image("b", { tags: ["h/x:1"], digests: ["h/x@2"] }), {});
  const third = addImage(second, image("b", { tags: ["h/x:2"] }), {});
  assert.deepEqual(
    third.images.map(({ id, tags, digests }) => [id[7], tags, digests]),
    [
      ["a", [], ["h/x@1"]],
      ["b", ["h/x:1", "h/x:2"], ["h/x@2"]],
    ],
  );
});

test("removeName lets an image go with its last name", () => {
  const digest = `h.io/x@${id("d")}`;
  const records = addImage(
    none,
    image("a", { tags: ["h.io/x:1", "h.io/x:2", "h.io/y:1"], digests: [digest], layers: ["l"] }),
    {
      l: 5,
    },
  );
  const states = [records];
  for (const name of ["h.io/x:1", "h.io/x:2", "h.io/y:1"]) {
    const before = states.at(-1) ?? none;
    const found = findImage(before, name);
    if (found !== undefined) states.push(removeName(before, found.image, found.name));
  }
  assert.deepEqual(
    states.map(({ images, layerBytes }) => [images[0]?.tags, images[0]?.digests, layerBytes]),
    [
      [["h.io/x:1", "h.io/x:2", "h.io/y:1"], [digest], { l: 5 }],
      [["h.io/x:2", "h.io/y:1"], [digest], { l: 5 }],
      [["h.io/y:1"], [], { l: 5 }],
      [undefined, undefined, {}],
    ],
  );
});

test("findImage knows names, ids and unique starts of ids", () => {
  const records = [image("a", { tags: ["docker.io/library/x:latest"] }), image("b")].reduce(
    (all, one) => addImage(all, one, {}),
    none,
  );
  assert.deepEqual(
    ["x", "docker.io/x:latest", "x:2", id("a"), "aaaa", "sha256:bbbb", "cccc", ""].map(
      (text) => findImage(records, text)?.image.id[7],
    ),
    ["a", "a", undefined, "a", "a", "b", undefined, undefined],
  );
});

test("planCollection frees what is longest unused, and counts shared layers once their last image goes", () => {
  const records: Records = {
    version: 1,
    images: [
      image("a", { layers: ["s", "1"], usedAtMs: 1 }),
      image("b", { layers: ["s", "2"], usedAtMs: 2 }),
      image("c", { layers: ["3"], usedAtMs: 3 }),
      image("d", { layers: ["4"], usedAtMs: 9 }),
    ],
    layerBytes: { s: 100, 1: 10, 2: 10, 3: 10, 4: 10 },
  };
  const plan = (bytes: number, keep: readonly string[]) => {
    const { ids, freedBytes } = planCollection(records, { bytes, beforeMs: 5, ownBeforeMs: 5, keep: new Set(keep) });
    return [[...ids].map((found) => found[7]).join(""), freedBytes];
  };
  assert.deepEqual(
    [plan(5, []), plan(15, []), plan(1000, []), plan(1000, [id("a")])],
    [
      ["a", 10],
      ["ab", 120],
      ["abc", 130],
      ["bc", 20],
    ],
  );
});

test("planCollection leaves what was made here longer than what a registry has", () => {
  const blob = (repositories: readonly string[]) => ({ mediaType: "", digest: "", sizeBytes: 1, repositories });
  const records: Records = {
    version: 1,
    images: [
      image("a", { layers: ["1"], digests: ["r/a@x"], usedAtMs: 4 }),
      image("b", { layers: ["2"], usedAtMs: 4 }),
      image("c", { layers: ["3"], digests: ["r/c@x"], usedAtMs: 4 }),
      image("d", { layers: ["4"], usedAtMs: 1 }),
    ],
    layerBytes: {},
    // An archive says of what it brings which digest it has.
    blobs: { 1: blob(["r/a"]), 3: blob([]) },
  };
  const { ids } = planCollection(records, { bytes: 1, beforeMs: 5, ownBeforeMs: 2, keep: new Set() });
  assert.deepEqual([...ids], [id("d"), id("a")]);
});
