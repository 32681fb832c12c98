// How records of pushed manifests change.
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import {
  addPushed,
  findPushed,
  isShown,
  keepPushed,
  manifestParts,
  pushedBlobs,
  removePushed,
  shownTags,
} from "./pushed.ts";
import type { ImageRecord, PushedManifest, Records } from "./records.ts";
import { parseReference } from "./reference.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const pushed = (letter: string, more: Partial<PushedManifest> = {}): PushedManifest => ({
  ...{ repository: "team/app", digest: digest(letter), mediaType: "m", sizeBytes: 1, tags: [], pushedMs: 0 },
  ...{ blobs: [], manifests: [], ...more },
});
const image = (id: string, tags: readonly string[]) =>
  ({ id, tags, digests: [], layers: [], blobs: [] }) as unknown as ImageRecord;
const empty: Records = { version: 1, images: [], layerBytes: {} };
const find = (records: Records, text: string) => findPushed(records, parseReference(text))?.digest;

test("addPushed moves a tag from the manifest that had it, within its repository", () => {
  const other = pushed("c", { repository: "team/other", tags: ["1"] });
  const records = [pushed("a", { tags: ["1", "2"] }), other, pushed("b", { tags: ["1"] })].reduce(addPushed, empty);
  deepEqual(
    records.pushed?.map(({ digest: own, tags }) => [own[7], tags]),
    [
      ["a", ["2"]],
      ["c", ["1"]],
      ["b", ["1"]],
    ],
  );
});

test("findPushed finds by tag and digest, until the name means another image here", () => {
  const records = addPushed(
    { ...empty, images: [image("one", ["naru.local/team/app:1"])] },
    pushed("a", { tags: ["1"], imageId: "one" }),
  );
  const moved = { ...records, images: [image("one", []), image("two", ["naru.local/team/app:1"])] };
  deepEqual(
    [
      find(records, "naru.local/team/app:1"),
      find(records, "registry.naru-system.svc:5000/team/app:1"),
      find(moved, "naru.local/team/app:1"),
      find(moved, `naru.local/team/app@${digest("a")}`),
      find(records, "team/app:1"),
    ],
    [digest("a"), digest("a"), undefined, digest("a"), undefined],
  );
});

test("keepPushed lets go of what has lost its image, and of parts that only that had", () => {
  const parts = [pushed("b", { imageId: "one" }), pushed("c", { blobs: [digest("d")] })];
  const index = pushed("a", { tags: ["1"], imageId: "one", manifests: [digest("b"), digest("c")] });
  const records = [...parts, index, pushed("e")].reduce(addPushed, { ...empty, images: [image("one", [])] });
  equal(keepPushed(records).pushed?.length, 4);
  deepEqual(pushedBlobs(keepPushed({ ...records, images: [] })), [digest("e")]);
});

test("removePushed takes a tag, or a manifest with all its tags", () => {
  const records = [pushed("a", { tags: ["1", "2"] })].reduce(addPushed, empty);
  deepEqual(shownTags(removePushed(records, "team/app", { tag: "1" })), new Map([["team/app", new Set(["2"])]]));
  deepEqual(removePushed(records, "team/app", { digest: digest("a") }).pushed, []);
});

test("manifestParts refuses what is no manifest", () => {
  const type = "application/vnd.oci.image.manifest.v1+json";
  const config = { mediaType: "c", digest: digest("a"), size: 2 };
  const bad = [
    "x",
    "[]",
    "{}",
    { schemaVersion: 1, config },
    { schemaVersion: 2, config, manifests: [] },
    { schemaVersion: 2, config, layers: {} },
    { schemaVersion: 2, config: { ...config, size: -1 } },
    { schemaVersion: 2, config: { ...config, digest: "md5:1" } },
    { schemaVersion: 2, config, mediaType: "another" },
  ];
  for (const body of bad) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    throws(() => manifestParts(Buffer.from(text), type), { name: "PullError" }, text);
  }
});

test("isShown shows blobs of the cluster's registry, and none that a node has from others", () => {
  const layered = (name: string, letter: string): ImageRecord => ({
    ...image(name, [`${name}:1`]),
    layers: [digest(letter)],
    blobs: [digest(letter)],
  });
  const blob = (letter: string) => ({ mediaType: "m", digest: digest(letter), sizeBytes: 1, repositories: [] });
  const records = addPushed(
    {
      ...empty,
      images: [layered("naru.local/team/own", "1"), layered("registry.example.com/secret", "2")],
      blobs: { [digest("1")]: blob("3"), [digest("2")]: blob("4") },
    },
    pushed("a", { blobs: [digest("b")] }),
  );
  deepEqual(
    ["1", "3", "a", "b", "2", "4"].map((letter) => isShown(records, digest(letter))),
    [true, true, true, true, false, false],
  );
});
