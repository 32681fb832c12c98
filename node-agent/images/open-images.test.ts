// Images pulled from a real registry (Debian's docker-registry), kept, prepared for containers, and removed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import {
  digestOf,
  freePort,
  gzipLayer,
  makeImage,
  makeIndex,
  makeTar,
  pushImage,
  pushManifest,
  startRegistry,
  type TestLayer,
  type TestRegistry,
} from "../../test/registry.ts";
import { ImageInUseError, type PullError, type PullProgress } from "./images.ts";
import type { ImagesOptions } from "./linux-images.ts";
import { openImages } from "./open-images.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = mkdtempSync(join(tmpdir(), `naru-images-${process.pid}-`));
// ann's "secret", as htpasswd -B writes it.
const bcryptOfSecret = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
let registry: TestRegistry;
let next = 0;
before(async () => {
  registry = await startRegistry();
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const newDirectory = () => join(folder, String(next++));
const open = (options: Partial<ImagesOptions> = {}) =>
  openImages({ dir: newDirectory(), clock: realClock, random: seededRandom(1), log: silentLogger, ...options });
const layerOf = async (name: string, content: string): Promise<TestLayer> =>
  gzipLayer(await makeTar([{ name, content }]));
const anonymous = { credentials: [] };

async function failureOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => "none",
    (error: PullError) => error.failure ?? error.message,
  );
}

// In a mount namespace of its own, so that nothing is left over whatever happens.
function runMounted(rootfs: { readonly options: readonly string[] }, script: string): string {
  const place = newDirectory();
  const command = `mkdir ${place} && mount -t overlay overlay -o ${rootfs.options.join(",")} ${place} && cd ${place} && ${script}`;
  return execFileSync("unshare", ["--mount", "sh", "-c", command], { encoding: "utf8" });
}

test("pull gets an image, tells its progress, and shares layers with the next", async () => {
  await using images = await open();
  const [base, mid, top] = [await layerOf("base", "1"), await layerOf("mid", "22"), await layerOf("top", "333")];
  const config = {
    Cmd: ["/run"],
    Env: ["A=b"],
    Entrypoint: ["/e"],
    User: "1:2",
    WorkingDir: "/w",
    StopSignal: "SIGINT",
    ExposedPorts: { "80/tcp": {} },
    Volumes: { "/v": {} },
    Labels: { l: "m" },
  };
  const first = makeImage([base, mid], { config });
  const second = makeImage([base, top], { docker: true });
  await pushImage(registry, "shared/one", { image: first, tag: "v1" });
  await pushImage(registry, "shared/two", { image: second, tag: "latest" });
  const name = `${registry.host}/shared/one`;
  const pulled = await images.pull(`${name}:v1`, anonymous);
  const states: string[] = [];
  const onProgress = (progress: PullProgress) =>
    states.push(
      progress.type === "layer"
        ? `${progress.digest === digestOf(base.blob) ? "base" : "top"} ${progress.state} ${progress.doneBytes === progress.totalBytes}`
        : `resolved ${progress.layers}`,
    );
  await images.pull(`${registry.host}/shared/two`, { ...anonymous, onProgress });
  assert.deepEqual(
    [pulled, states, await images.find(`${name}@${digestOf(first.manifest)}`)],
    [
      {
        id: digestOf(first.config),
        tags: [`${name}:v1`],
        digests: [`${name}@${digestOf(first.manifest)}`],
        sizeBytes: 3,
        config: {
          entrypoint: ["/e"],
          cmd: ["/run"],
          env: ["A=b"],
          workingDir: "/w",
          user: "1:2",
          stopSignal: "SIGINT",
          exposedPorts: ["80/tcp"],
          volumes: ["/v"],
          labels: { l: "m" },
        },
      },
      ["resolved 2", "base exists true", "top downloading false", "top unpacked true"],
      pulled,
    ],
  );
});

test("pull chooses this machine's image from an index, by tag and by digest, and says when there is none", async () => {
  await using images = await open();
  const here = process.arch === "x64" ? "amd64" : process.arch;
  const [mine, other] = [
    makeImage([await layerOf("mine", "1")]),
    makeImage([await layerOf("other", "1")], { architecture: "s390x" }),
  ];
  await pushImage(registry, "multi", { image: mine, tag: "mine" });
  await pushImage(registry, "multi", { image: other, tag: "other" });
  const both = makeIndex([
    { image: other, architecture: "s390x" },
    { image: mine, architecture: here },
  ]);
  const listType = "application/vnd.docker.distribution.manifest.list.v2+json";
  const list = makeIndex(
    [
      { image: mine, architecture: here },
      { image: other, architecture: "s390x" },
    ],
    listType,
  );
  const foreign = makeIndex([{ image: other, architecture: "s390x" }]);
  const ociType = "application/vnd.oci.image.index.v1+json";
  await pushManifest(registry, "multi", { bytes: both, mediaType: ociType, tag: "both" });
  await pushManifest(registry, "multi", { bytes: list, mediaType: listType, tag: "list" });
  await pushManifest(registry, "multi", { bytes: foreign, mediaType: ociType, tag: "foreign" });
  const pull = (reference: string) =>
    images.pull(`${registry.host}/multi${reference}`, anonymous).then(
      ({ id }) => id,
      (error: PullError) => `${error.failure}: ${error.message.replace(registry.host, "R")}`,
    );
  assert.deepEqual(
    [
      await pull(":both"),
      await pull(`@${digestOf(both)}`),
      await pull(":list"),
      await pull(":foreign"),
      await pull(":other"),
    ],
    [
      digestOf(mine.config),
      digestOf(mine.config),
      digestOf(mine.config),
      `NoMatchingPlatform: R/multi:foreign is not made for linux/${here}; it has linux/s390x`,
      `NoMatchingPlatform: R/multi:other is made for linux/s390x, not for linux/${here}`,
    ],
  );
});

test("pull unpacks zstd and uncompressed layers", async () => {
  await using images = await open();
  const [a, b] = [await makeTar([{ name: "a", content: "z" }]), await makeTar([{ name: "b", content: "p" }])];
  const image = makeImage([
    { tar: a, blob: zstdCompressSync(a), mediaType: "application/vnd.oci.image.layer.v1.tar+zstd" },
    { tar: b, blob: b, mediaType: "application/vnd.oci.image.layer.v1.tar" },
  ]);
  await pushImage(registry, "compressed", { image, tag: "1" });
  const pulled = await images.pull(`${registry.host}/compressed:1`, anonymous);
  const { rootfs } = await images.prepareLayer("c", pulled);
  assert.equal(runMounted(rootfs, "cat a b"), "zp");
});

test("pull refuses damaged blobs, missing and wrong names, and leaves nothing behind", async () => {
  const dir = newDirectory();
  await using images = await open({ dir });
  const [good, planted] = [await layerOf("good", "1"), await layerOf("planted", "2")];
  await pushImage(registry, "damaged", { image: makeImage([good, planted]), tag: "1" });
  const hex = digestOf(planted.blob).slice("sha256:".length);
  const stored = join(registry.storage, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
  const bytes = Buffer.from(planted.blob);
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
  writeFileSync(stored, bytes);
  const nobody = await freePort();
  const failures = [
    await failureOf(images.pull(`${registry.host}/damaged:1`, anonymous)),
    await failureOf(images.pull(`${registry.host}/damaged:2`, anonymous)),
    await failureOf(images.pull(`${registry.host}/nothing`, anonymous)),
    await failureOf(images.pull("Wrong Name", anonymous)),
    await failureOf(images.pull(`127.0.0.1:${nobody}/x`, anonymous)),
  ];
  const layers = readdirSync(join(dir, "layers")).filter((name) => name !== digestOf(good.tar).slice(7));
  writeFileSync(stored, planted.blob);
  const repaired = await images.pull(`${registry.host}/damaged:1`, anonymous);
  assert.deepEqual(
    [failures, layers, readdirSync(join(dir, "tmp")), repaired.sizeBytes],
    [["WrongDigest", "NotFound", "NotFound", "InvalidImageName", "RegistryUnavailable"], [], [], 2],
  );
});

test("pull answers basic authentication with each of the credentials", async () => {
  const file = newDirectory();
  writeFileSync(file, `ann:${bcryptOfSecret}\n`);
  await using locked = await startRegistry({ auth: `auth: {htpasswd: {realm: test, path: ${file}}}` });
  await using images = await open();
  const headers = { authorization: `Basic ${Buffer.from("ann:secret").toString("base64")}` };
  await pushImage(locked, "private", { image: makeImage([await layerOf("p", "1")]), tag: "1", headers });
  const wrong = { username: "ann", password: "wrong" };
  const right = { username: "ann", password: "secret" };
  const pull = (credentials: readonly { username: string; password: string }[]) =>
    failureOf(images.pull(`${locked.host}/private:1`, { credentials }));
  assert.deepEqual([await pull([]), await pull([wrong]), await pull([wrong, right])], ["Denied", "Denied", "none"]);
});

test("pull fetches bearer tokens, anonymous ones too, and follows redirects without its credentials", async () => {
  await using images = await open();
  await pushImage(registry, "token/open", { image: makeImage([await layerOf("t", "1")]), tag: "1" });
  const asked: string[] = [];
  // A registry that wants tokens, in front of the real one; it sends blobs' readers there by redirect.
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", `http://${request.headers.host}`);
    if (url.pathname === "/token") {
      const user = Buffer.from(request.headers.authorization?.split(" ")[1] ?? "", "base64").toString() || "nobody";
      asked.push(`${user} ${url.searchParams.get("scope")} ${url.searchParams.get("service")}`);
      response
        .writeHead(user === "eve:x" ? 401 : 200)
        .end(JSON.stringify({ token: `t-${user.split(":")[0]}`, expires_in: 300 }));
      return;
    }
    const allowed = url.pathname.startsWith("/v2/token/open") ? /^Bearer t-/ : /^Bearer t-ann$/;
    if (!allowed.test(request.headers.authorization ?? "")) {
      const challenge = `Bearer realm="http://${request.headers.host}/token",service="test",scope="repository:${url.pathname.split("/").slice(2, 4).join("/")}:pull"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return;
    }
    response.writeHead(307, { location: `http://${registry.host}${url.pathname}` }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await pushImage(registry, "token/locked", { image: makeImage([await layerOf("t", "2")]), tag: "1" });
    const pull = (name: string, credentials: readonly { username: string; password: string }[] = []) =>
      failureOf(images.pull(`${host}/token/${name}:1`, { credentials }));
    const results = [
      await pull("open"),
      await pull("locked"),
      await pull("locked", [{ username: "eve", password: "x" }]),
      await pull("locked", [{ username: "ann", password: "y" }]),
    ];
    assert.deepEqual(
      [results, asked],
      [
        ["none", "Denied", "Denied", "none"],
        [
          "nobody repository:token/open:pull test",
          "nobody repository:token/locked:pull test",
          "eve:x repository:token/locked:pull test",
          "ann:y repository:token/locked:pull test",
        ],
      ],
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("pull at the same time does the work once, and one caller's end does not end the other's", async () => {
  await using images = await open();
  await pushImage(registry, "same", { image: makeImage([await layerOf("s", "1".repeat(1000))]), tag: "1" });
  const states: string[][] = [[], [], []];
  const abort = new AbortController();
  const pulls = states.map((seen, i) =>
    images.pull(`${registry.host}/same:1`, {
      ...anonymous,
      onProgress: (progress) => seen.push(progress.type === "layer" ? progress.state : progress.type),
      ...(i === 2 ? { signal: abort.signal } : {}),
    }),
  );
  abort.abort(new Error("gone"));
  const [first, second, third] = await Promise.allSettled(pulls);
  const same = first?.status === "fulfilled" && second?.status === "fulfilled" && first.value === second.value;
  assert.deepEqual(
    [same, third?.status === "rejected" && third.reason.message, states[0], states[1]],
    [true, "gone", ["resolved", "downloading", "unpacked"], ["resolved", "downloading", "unpacked"]],
  );
});

test("pull carries on where a connection broke", async () => {
  await using images = await open();
  const content = Buffer.alloc(300_000, "naru").toString("latin1");
  const tar = await makeTar([{ name: "big", content }]);
  const image = makeImage([{ tar, blob: tar, mediaType: "application/vnd.oci.image.layer.v1.tar" }]);
  await pushImage(registry, "broken", { image, tag: "1" });
  const ranges: (string | undefined)[] = [];
  const server = createServer(async (request, response) => {
    const { range } = request.headers;
    const headers: Record<string, string> = range === undefined ? {} : { range };
    const real = await fetch(`http://${registry.host}${request.url}`, {
      headers: { accept: request.headers.accept ?? "*/*", ...headers },
    });
    const body = Buffer.from(await real.arrayBuffer());
    response.writeHead(real.status, Object.fromEntries(real.headers));
    if (!request.url?.endsWith(digestOf(tar))) return void response.end(body);
    ranges.push(range);
    if (ranges.length > 1) return void response.end(body);
    response.write(body.subarray(0, 100_000), () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const pulled = await images.pull(`127.0.0.1:${(server.address() as AddressInfo).port}/broken:1`, anonymous);
    assert.deepEqual(
      [pulled.sizeBytes, ranges.length, ranges[0], /^bytes=\d+-$/.test(ranges[1] ?? "")],
      [300_000, 2, undefined, true],
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("pull asks a mirror first, and the registry when the mirror fails", async () => {
  const image = makeImage([await layerOf("m", "1")]);
  await pushImage(registry, "library/mirrored", { image, tag: "latest" });
  const nobody = `127.0.0.1:${await freePort()}`;
  await using images = await open({ registries: { "docker.io": { mirror: [nobody, `http://${registry.host}`] } } });
  assert.deepEqual((await images.pull("mirrored", anonymous)).tags, ["docker.io/library/mirrored:latest"]);
});

test("prepareLayer gives the same layer again, writable, and finds users in the image's own files", async () => {
  const dir = newDirectory();
  await using images = await open({ dir });
  const image = makeImage([
    gzipLayer(
      await makeTar([
        { name: "etc/passwd", content: "old:x:1:1::/:\n" },
        { name: "etc/group", content: "g:x:9:web\n" },
      ]),
    ),
    gzipLayer(
      await makeTar([
        { name: "etc/.wh.passwd", content: "" },
        { name: "real", content: "web:x:33:34::/:\n" },
      ]),
    ),
    gzipLayer(await makeTar([{ name: "etc/passwd", type: "symlink", linkname: "/../../real" }])),
  ]);
  await pushImage(registry, "users", { image, tag: "1" });
  const pulled = await images.pull(`${registry.host}/users:1`, anonymous);
  const layer = await images.prepareLayer("c1", pulled);
  runMounted(layer.rootfs, "echo written > file");
  const again = await images.prepareLayer("c1", pulled);
  const written = runMounted(again.rootfs, "cat file");
  const other = await images.prepareLayer("c2", pulled);
  const absent = runMounted(other.rootfs, "test -e file || echo absent");
  await images.removeLayer("c2");
  assert.deepEqual(
    [
      again.rootfs,
      written,
      absent,
      await again.resolveUser("web"),
      await failureOf(again.resolveUser("old")),
      await images.listLayers(),
    ],
    [
      {
        destination: "/",
        type: "overlay",
        source: "overlay",
        options: [
          `lowerdir=${["2", "1", "0"].map((_, i) => layer.rootfs.options[0]?.slice("lowerdir=".length).split(":")[i]).join(":")}`,
          `upperdir=${dir}/containers/c1/upper`,
          `workdir=${dir}/containers/c1/work`,
          "volatile",
        ],
      },
      "written\n",
      "absent\n",
      { uid: 33, gid: 34, additionalGids: [9] },
      'user "old" is not in the image\'s /etc/passwd',
      [{ containerId: "c1", imageId: pulled.id }],
    ],
  );
});

test("remove refuses what containers use, then takes unshared layers and blobs with it", async () => {
  const dir = newDirectory();
  await using images = await open({ dir });
  const [base, own] = [await layerOf("b", "1"), await layerOf("o", "2")];
  await pushImage(registry, "rm/a", { image: makeImage([base, own]), tag: "1" });
  await pushImage(registry, "rm/b", { image: makeImage([base]), tag: "1" });
  const a = await images.pull(`${registry.host}/rm/a:1`, anonymous);
  const b = await images.pull(`${registry.host}/rm/b:1`, anonymous);
  await images.prepareLayer("user", a);
  const refused = await images.remove(`${registry.host}/rm/a:1`).catch((error) => error);
  await images.removeLayer("user");
  await images.remove(`${registry.host}/rm/a:1`);
  const left = readdirSync(join(dir, "layers"));
  await images.remove(b.id);
  assert.deepEqual(
    [
      refused instanceof ImageInUseError && refused.containerIds,
      left,
      await images.list(),
      readdirSync(join(dir, "layers")),
      readdirSync(join(dir, "blobs/sha256")),
      await failureOf(images.remove("nothing")),
    ],
    [["user"], [digestOf(base.tar).slice(7)], [], [], [], "no such image: nothing"],
  );
});

test("collect removes what is longest unused and no container needs", async () => {
  await using images = await open();
  for (const name of ["a", "b", "c"]) {
    await pushImage(registry, `gc/${name}`, { image: makeImage([await layerOf(name, "12345")]), tag: "1" });
  }
  const pull = (name: string) => images.pull(`${registry.host}/gc/${name}:1`, anonymous);
  const [a, b, c] = [await pull("a"), await pull("b"), await pull("c")];
  await images.prepareLayer("user", a);
  const young = await images.collect({ bytes: 100 });
  const { freedBytes, images: gone } = await images.collect({ bytes: 100, minAgeMs: -1, keep: new Set([c.id]) });
  assert.deepEqual(
    [young, freedBytes, gone.map(({ id }) => id), (await images.list()).map(({ id }) => id).sort()],
    [{ freedBytes: 0, images: [] }, 5, [b.id], [a.id, c.id].sort()],
  );
});

test("openImages finds its images and containers again, and clears what a crash left", async () => {
  const dir = newDirectory();
  const image = makeImage([await layerOf("k", "1")]);
  await pushImage(registry, "kept", { image, tag: "1" });
  {
    await using images = await open({ dir });
    await images.prepareLayer("c", await images.pull(`${registry.host}/kept:1`, anonymous));
  }
  // A killed agent's leftovers: a layer half unpacked, one without an image, a container without its link, a torn record.
  execFileSync("mkdir", [
    "-p",
    `${dir}/tmp/half/x`,
    `${dir}/layers/${"e".repeat(64)}/x`,
    `${dir}/containers/half/upper`,
    `${dir}/trash/t/x`,
  ]);
  writeFileSync(`${dir}/images.json.new`, "{");
  await using images = await open({ dir });
  const found = await images.find(`${registry.host}/kept:1`);
  const inUse = await images.remove(`${registry.host}/kept:1`).catch((error) => error instanceof ImageInUseError);
  await images.collect({ bytes: 0 });
  assert.deepEqual(
    [
      found?.id,
      inUse,
      await images.listLayers(),
      ...["tmp", "layers", "containers", "trash"].map((name) => readdirSync(join(dir, name))),
    ],
    [
      digestOf(image.config),
      true,
      [{ containerId: "c", imageId: digestOf(image.config) }],
      [],
      [digestOf(makeImageLayer(image)).slice(7)],
      ["c"],
      [],
    ],
  );
});

test("prepareLayer fits a hundred layers into one mount", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "naru-"));
  after(() => rmSync(runDir, { recursive: true, force: true }));
  await using images = await open({ runDir });
  const layers = await Promise.all(Array.from({ length: 100 }, (_, i) => layerOf(`f${i}`, String(i))));
  await pushImage(registry, "many", { image: makeImage(layers), tag: "1" });
  const pulled = await images.pull(`${registry.host}/many:1`, anonymous);
  const { rootfs } = await images.prepareLayer("c", pulled);
  assert.equal(runMounted(rootfs, "ls | wc -l").trim(), "100");
});

test("pull says when the disk is full, and works again when there is room", async () => {
  const dir = newDirectory();
  execFileSync("mkdir", ["-p", dir]);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", `naru-test-${process.pid}`, dir]);
  try {
    await using images = await open({ dir });
    const big = makeImage([gzipLayer(await makeTar([{ name: "big", content: Buffer.alloc(8_000_000, 1) }]))]);
    const small = makeImage([await layerOf("small", "1")]);
    await pushImage(registry, "full", { image: big, tag: "big" });
    await pushImage(registry, "full", { image: small, tag: "small" });
    const failures = [await failureOf(images.pull(`${registry.host}/full:big`, anonymous))];
    await images.collect({ bytes: 0 });
    failures.push(await failureOf(images.pull(`${registry.host}/full:small`, anonymous)));
    assert.deepEqual(failures, ["NoSpace", "none"]);
  } finally {
    execFileSync("umount", [dir]);
  }
  assert.equal(existsSync(join(dir, "images.json")), false);
});

function makeImageLayer(image: { readonly layers: readonly TestLayer[] }): Buffer {
  const [layer] = image.layers;
  assert(layer !== undefined);
  return layer.tar;
}

test("what the disk may not hold after a crash of the machine is forgotten, the rest stays openImages", async () => {
  const dir = newDirectory();
  const [sure, torn] = [makeImage([await layerOf("s", "1")]), makeImage([await layerOf("t", "2")])];
  await pushImage(registry, "crash/sure", { image: sure, tag: "1" });
  await pushImage(registry, "crash/torn", { image: torn, tag: "1" });
  const first = await open({ dir });
  for (const name of ["sure", "torn"]) await first.pull(`${registry.host}/crash/${name}:1`, anonymous);
  await first[Symbol.asyncDispose]();
  const path = join(dir, "images.json");
  const records = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...records, unsynced: [digestOf(torn.layers[0]?.tar ?? Buffer.alloc(0))] }));
  await (await open({ dir }))[Symbol.asyncDispose]();
  const sameBoot = JSON.parse(readFileSync(path, "utf8")).images.length;
  writeFileSync(path, JSON.stringify({ ...records, unsynced: [digestOf(torn.layers[0]?.tar ?? Buffer.alloc(0))] }));
  writeFileSync(join(dir, "boot-id"), "another");
  await using last = await open({ dir });
  assert.deepEqual(
    [records.unsynced, sameBoot, (await last.list()).map(({ id }) => id), readdirSync(join(dir, "layers"))],
    [[], 2, [digestOf(sure.config)], [digestOf(sure.layers[0]?.tar ?? Buffer.alloc(0)).slice(7)]],
  );
});
