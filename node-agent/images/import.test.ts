// Archives as Naru, docker save and others write them, and hostile ones.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildHelloImage } from "../../charts/hello/image/build.ts";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { digestOf, gzipLayer, json, makeImage, makeTar, type TarEntry } from "../../test/registry.ts";
import { openImages } from "./open-images.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = mkdtempSync(join(tmpdir(), `naru-import-${process.pid}-`));
after(() => rmSync(folder, { recursive: true, force: true }));
let next = 0;

const open = () =>
  openImages({ dir: join(folder, String(next++)), clock: realClock, random: seededRandom(1), log: silentLogger });

test("import reads the hello image, whose versions share their layer", async () => {
  await using images = await open();
  const archive = await buildHelloImage();
  const found = await images.import(Readable.from([archive.subarray(0, 700), archive.subarray(700)]));
  const [first, second] = found;
  assert.deepEqual(
    [
      found.map(({ tags, config }) => [tags, config.env, config.user]),
      readdirSync(join(folder, String(next - 1), "layers")).length,
      first?.sizeBytes === second?.sizeBytes,
      (await images.find("naru.local/hello:2"))?.id === second?.id,
    ],
    [
      [
        [["naru.local/hello:1"], ["SALUTE=Hello"], "hello"],
        [["naru.local/hello:2"], ["SALUTE=Good day"], "hello"],
      ],
      1,
      true,
      true,
    ],
  );
});

test("import reads what docker save writes, linked layers and gzip too, and gives the tag that is asked for", async () => {
  await using images = await open();
  const [one, two] = [await makeTar([{ name: "a", content: "1" }]), await makeTar([{ name: "b", content: "2" }])];
  const { config } = makeImage([gzipLayer(one), gzipLayer(two), gzipLayer(one)]);
  const archive = await makeTar([
    { name: "x/layer.tar", content: one },
    { name: "y/layer.tar", content: two },
    { name: "z/layer.tar", type: "symlink", linkname: "../x/layer.tar" },
    { name: "config.json", content: config },
    {
      name: "manifest.json",
      content: json([
        { Config: "config.json", RepoTags: ["old:1"], Layers: ["x/layer.tar", "y/layer.tar", "z/layer.tar"] },
      ]),
    },
  ]);
  const saved = await images.import(Readable.from([archive]));
  const again = await images.import(Readable.from([gzipSync(archive)]), { tag: "new" });
  assert.deepEqual(
    [saved, again].map((found) => found.map(({ id, tags, digests, sizeBytes }) => ({ id, tags, digests, sizeBytes }))),
    [
      [{ id: digestOf(config), tags: ["docker.io/library/old:1"], digests: [], sizeBytes: 3 }],
      [
        {
          id: digestOf(config),
          tags: ["docker.io/library/old:1", "docker.io/library/new:latest"],
          digests: [],
          sizeBytes: 3,
        },
      ],
    ],
  );
});

test("import refuses archives that are wrong or hostile, and keeps nothing of them", async () => {
  await using images = await open();
  const layer = gzipLayer(await makeTar([{ name: "a", content: "1" }]));
  const { config } = makeImage([layer]);
  const saved = (layers: readonly string[]): TarEntry => ({
    name: "manifest.json",
    content: json([{ Config: "c.json", RepoTags: null, Layers: layers }]),
  });
  const refusal = async (entries: readonly TarEntry[]) =>
    await images.import(Readable.from([await makeTar(entries)])).then(
      () => "none",
      (error: Error) => error.message.replaceAll(/sha256:\w+/g, "sha256:…"),
    );
  const refusals = [
    await refusal([]),
    await refusal([{ name: "manifest.json", content: "{" }]),
    await refusal([{ name: "c.json", content: config }, saved(["none.tar"])]),
    await refusal([{ name: "c.json", content: config }, saved(["../../../../../../../etc/passwd"])]),
    await refusal([
      { name: "c.json", content: config },
      { name: "l", type: "symlink", linkname: "/etc/passwd" },
      saved(["l"]),
    ]),
    await refusal([{ name: "c.json", content: config }, { name: "l", type: "fifo" }, saved(["l"])]),
    await refusal([{ name: "c.json", content: config }, { name: "l", content: gzipSync("other") }, saved(["l"])]),
    await refusal([{ name: "c.json", content: config }, saved([])]),
  ];
  assert.deepEqual(
    [refusals, await images.list(), readdirSync(join(folder, String(next - 1), "layers"))],
    [
      [
        "archive holds no image: it has neither index.json (OCI layout) nor manifest.json (docker save)",
        "archive has a manifest.json that is no JSON",
        "archive lacks none.tar",
        "archive has ../../../../../../../etc/passwd that leads outside of it",
        "archive has l that leads outside of it",
        "archive has l that is no file",
        "layer sha256:… ends in the middle of a header",
        "image of the archive has 0 layers, but its config speaks of 1",
      ],
      [],
      [],
    ],
  );
});
