import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageRecord, Records } from "./records.ts";
import { planRemoval } from "./removal.ts";

const config = {
  ...{ entrypoint: [], cmd: [], env: [], workingDir: "", user: "", stopSignal: undefined },
  ...{ exposedPorts: [], volumes: [], labels: {} },
};
const id = (letter: string) => `sha256:${letter.repeat(64)}`;
const image = (letter: string, tags: readonly string[], more: Partial<ImageRecord> = {}): ImageRecord => ({
  ...{ id: id(letter), tags, digests: [], layers: [id("0"), id(letter)], blobs: [], config, usedAtMs: 0 },
  ...more,
});
const records = (...images: readonly ImageRecord[]): Records => ({
  version: 1,
  images,
  layerBytes: Object.fromEntries(images.flatMap(({ layers }) => layers.map((layer) => [layer, 5]))),
});
const one = "docker.io/library/one";
const here = records(
  image("a", [`${one}:1`, `${one}:2`]),
  image("b", ["h.io/b:1"], { digests: [`h.io/b@${id("d")}`] }),
);

/** What goes, what names stay, or the refusal. */
function removal(reference: string, options: Partial<Parameters<typeof planRemoval>[2]> = {}): unknown {
  try {
    const plan = planRemoval(here, reference, { usersOf: () => [], ...options });
    return [plan.removals, plan.records.images.map(({ tags, digests }) => [...tags, ...digests].join(" "))];
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : error;
  }
}

test("a name, the last name with the image, and an id with all names go in planRemoval", () => {
  const b = `h.io/b@${id("d")}`;
  assert.deepEqual(
    [removal("one:1"), removal("h.io/b:1"), removal("aaaaaa", { force: true }), removal("aaaaaa"), removal("none")],
    [
      [[{ untagged: `${one}:1` }], [`${one}:2`, `h.io/b:1 ${b}`]],
      [[{ untagged: "h.io/b:1" }, { untagged: b }, { deleted: id("b") }, { deleted: id("b") }], [`${one}:1 ${one}:2`]],
      [
        [{ untagged: `${one}:1` }, { untagged: `${one}:2` }, { deleted: id("a") }, { deleted: id("a") }],
        [`h.io/b:1 ${b}`],
      ],
      `ImageConflictError: image aaaaaaaaaaaa has several names (${one}:1, ${one}:2): remove each of them, or force`,
      "NoSuchImageError: no such image: none",
    ],
  );
});

test("an image that containers use stays, without names when it is forced, in planRemoval", () => {
  const usersOf = () => ["c1", "c2"];
  const running = new Set(["c2"]);
  assert.deepEqual(
    [
      removal("h.io/b:1", { usersOf }),
      removal("bbbbbb", { usersOf, force: true, running }),
      removal("h.io/b:1", { usersOf, force: true, running }),
      removal("bbbbbb", { usersOf, force: true, running: new Set() }),
    ],
    [
      "ImageInUseError: image h.io/b:1 is used by containers c1, c2",
      "ImageInUseError: image bbbbbb is used by container c2",
      ...[0, 1].map(() => [
        [{ untagged: "h.io/b:1" }, { untagged: `h.io/b@${id("d")}` }],
        [`${one}:1 ${one}:2`, ""],
      ]),
    ],
  );
});
