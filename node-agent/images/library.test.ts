// What people do with images, on a real registry (Debian's docker-registry), with and without a password.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { extract } from "tar-stream";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { makeTestFolder } from "../../test/folders.ts";
import {
  gzipLayer,
  makeImage,
  makeTar,
  pushImage,
  startRegistry,
  type TarEntry,
  type TestRegistry,
} from "../../test/registry.ts";
import type { Image } from "./images.ts";
import type { ImageLibrary, PushProgress } from "./library.ts";
import type { ImagesOptions } from "./linux-images.ts";
import { openImages } from "./open-images.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = makeTestFolder("library");
// ann's "secret", as htpasswd -B writes it.
const bcryptOfSecret = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const anonymous = { credentials: [] };
const ann = { username: "ann", password: "secret" };
let registry: TestRegistry;
let locked: TestRegistry;
let next = 0;
before(async () => {
  registry = await startRegistry();
  const passwords = join(folder, "htpasswd");
  writeFileSync(passwords, `ann:${bcryptOfSecret}\n`);
  locked = await startRegistry({ auth: `auth: {htpasswd: {realm: naru, path: ${passwords}}}` });
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await locked[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const newDirectory = () => join(folder, String(next++));
const open = (options: Partial<ImagesOptions> = {}) =>
  openImages({ dir: newDirectory(), clock: realClock, random: seededRandom(1), log: silentLogger, ...options });

async function pullTest(images: ImageLibrary, name: string, layers: readonly (readonly TarEntry[])[]): Promise<Image> {
  const made = makeImage(await Promise.all(layers.map(async (entries) => gzipLayer(await makeTar(entries)))), {
    config: { Cmd: ["/run"], Env: ["A=b"] },
  });
  await pushImage(registry, name, { image: made, tag: "1" });
  return await images.pull(`${registry.host}/${name}:1`, anonymous);
}

/** Writes in a container as a program in it would, in a mount namespace of its own. */
async function change(images: ImageLibrary, containerId: string, image: Image, script: string): Promise<void> {
  const { rootfs } = await images.prepareLayer(containerId, image, { durable: true });
  const place = newDirectory();
  mkdirSync(place);
  const command = `mount -t overlay overlay -o ${rootfs.options.join(",")} ${place} && cd ${place} && ${script}`;
  execFileSync("unshare", ["--mount", "sh", "-c", command]);
}

/** Names and contents, sorted. */
async function listTar(tar: NodeJS.ReadableStream): Promise<readonly string[]> {
  const found: string[] = [];
  const reader = (tar as Readable).pipe(extract());
  for await (const entry of reader) {
    let text = "";
    for await (const part of entry) text += part;
    found.push(`${entry.header.name} ${entry.header.linkname ?? text}`.trim());
  }
  return found.sort();
}

async function collect(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

const problem = (work: Promise<unknown>) =>
  work.then(
    () => "none",
    (error: Error) => `${error.name}: ${error.message.replaceAll(registry.host, "R").replaceAll(locked.host, "L")}`,
  );

test("commit makes an image of what a container changed, which its history and files show", async () => {
  await using images = await open();
  const image = await pullTest(images, "commit/base", [
    [
      { name: "etc/", type: "directory" },
      { name: "etc/old", content: "o" },
      { name: "etc/kept", content: "k" },
    ],
  ]);
  await change(images, "c1", image, "echo new > etc/new; rm etc/old; chmod 600 etc/kept; mkdir d; ln etc/new d/link");
  const changes = await images.changes("c1");
  const committed = await images.commit("c1", {
    tag: "mine:2",
    config: { cmd: ["/other"], labels: { l: "m" } },
    author: "ann",
    comment: "why",
    createdBy: "sh",
  });
  const unchanged = await images.prepareLayer("c2", committed).then(() => images.commit("c2", {}));
  await change(images, "c3", committed, "test ! -e etc/old && grep -q new d/link && stat -c %a etc/kept | grep -q 600");
  const lines = (await images.history("mine:2")).map(({ createdBy, comment, sizeBytes, tags }) => ({
    ...{ createdBy, comment, sizeBytes, tags },
  }));
  assert.deepEqual(
    [
      changes.map(({ kind, path }) => `${kind} ${path}`),
      committed.tags,
      [committed.config.cmd, committed.config.env, committed.config.labels],
      lines,
      (await images.inspect("mine:2")).author,
      (await images.inspect(unchanged.id)).layers.length,
      await problem(images.commit("none", {})),
    ],
    [
      ["added /d", "added /d/link", "modified /etc", "modified /etc/kept", "added /etc/new", "deleted /etc/old"],
      ["docker.io/library/mine:2"],
      [["/other"], ["A=b"], { l: "m" }],
      [
        { createdBy: "sh", comment: "why", sizeBytes: 5, tags: ["docker.io/library/mine:2"] },
        { createdBy: "", comment: "", sizeBytes: 2, tags: [] },
      ],
      "ann",
      2,
      "NoSuchLayerError: no such container: none has no files here",
    ],
  );
});

test("save gives what import reads, with the digests that the image came with", async () => {
  await using images = await open();
  await using other = await open();
  const image = await pullTest(images, "save/one", [[{ name: "a", content: "1" }], [{ name: "b", content: "2" }]]);
  await change(images, "c", image, "echo 3 > c");
  const made = await images.commit("c", { tag: "made:1" });
  await images.tag(image.id, "one:x");
  const tar = await collect(await images.save(["one:x", "made"]));
  const listed = (await listTar(Readable.from([tar]))).filter((line) => !line.startsWith("blobs/"));
  const loaded = await other.import(Readable.from([tar]));
  await change(other, "c", loaded.find(({ id }) => id === made.id) ?? made, 'test "$(cat a b c)" = "123"');
  const again = await collect(await other.save(["one:x", "made"]));
  assert.deepEqual(
    [
      listed.map((line) => line.split(" ")[0]),
      loaded.map(({ id, tags }) => [id, tags]),
      (await other.inspect(image.id)).manifestDigest,
      again.equals(tar),
      await problem(images.save(["none"])),
    ],
    [
      ["index.json", "manifest.json", "oci-layout"],
      [
        [image.id, ["docker.io/library/one:x"]],
        [made.id, ["docker.io/library/made:1"]],
      ],
      (await images.inspect(image.id)).manifestDigest,
      true,
      "NoSuchImageError: no such image: none",
    ],
  );
});

test("push sends what the registry lacks, mounts what another repository has, and keeps a pulled image's digest", async () => {
  await using images = await open();
  const image = await pullTest(images, "push/base", [[{ name: "a", content: "1" }]]);
  await change(images, "c", image, "echo 2 > b");
  await images.commit("c", { tag: `${registry.host}/push/made:1` });
  await images.tag(image.id, `${registry.host}/push/copy:1`);
  const states: string[] = [];
  const onProgress = ({ state, from = "" }: PushProgress) => {
    if (state !== "preparing" && state !== "uploading") states.push(`${state} ${from}`.trim());
  };
  const made = await images.push(`${registry.host}/push/made:1`, { ...anonymous, onProgress });
  await images.push(`${registry.host}/push/made:1`, { ...anonymous, onProgress });
  const copy = await images.push(`${registry.host}/push/copy:1`, { ...anonymous, onProgress });
  await using other = await open();
  const pulled = await other.pull(`${registry.host}/push/made:1`, anonymous);
  await change(other, "c", pulled, 'test "$(cat a b)" = "12"');
  assert.deepEqual(
    [
      states.slice(0, 2).sort(),
      states.slice(2),
      pulled.digests,
      copy.digest,
      (await images.inspect(`${registry.host}/push/made:1`)).digests,
    ],
    [
      ["mounted push/base", "pushed"],
      ["exists", "exists", "mounted push/made"],
      [`${registry.host}/push/made@${made.digest}`],
      image.digests[0]?.split("@")[1],
      [`${registry.host}/push/made@${made.digest}`],
    ],
  );
});

test("push and login tell who is refused, and take who may", async () => {
  await using images = await open();
  const image = await pullTest(images, "push/locked", [[{ name: "a", content: "1" }]]);
  const name = `${locked.host}/team/a:1`;
  await images.tag(image.id, name);
  const wrong = { username: "ann", password: "wrong" };
  const pushed = await images.push(name, { credentials: [wrong, ann], compression: "zstd" });
  await using other = await open();
  assert.deepEqual(
    [
      await problem(images.push(name, anonymous)),
      await problem(images.push(name, { credentials: [wrong] })),
      await problem(images.push("none:1", anonymous)),
      await problem(images.push("127.0.0.1:1/a", anonymous)),
      await problem(images.login(locked.host, ann)),
      await problem(images.login(locked.host, wrong)),
      (await other.pull(name, { credentials: [ann] })).digests,
    ],
    [
      "PushError: pushing L/team/a without credentials is denied (401): the repository does not exist, or needs other credentials",
      "PushError: pushing L/team/a as ann is denied (401): the repository does not exist, or needs other credentials",
      "NoSuchImageError: no such image: docker.io/library/none:1",
      "NoSuchImageError: no such image: 127.0.0.1:1/a:latest",
      "none",
      "PushError: L does not take the name and password of ann",
      [`${locked.host}/team/a@${pushed.digest}`],
    ],
  );
});

test("importTar makes an image of a root, and exportRoot gives a container's", async () => {
  await using images = await open();
  const tar = await makeTar([
    { name: "bin/", type: "directory" },
    { name: "bin/sh", content: "#!" },
  ]);
  const image = await images.importTar(Readable.from([tar]), { tag: "root:1", config: { cmd: ["/bin/sh"] } });
  await change(images, "c", image, "rm bin/sh; echo x > y; ln -s y z");
  assert.deepEqual(
    [image.tags, image.config.cmd, image.sizeBytes, await listTar(await images.exportRoot("c"))],
    [["docker.io/library/root:1"], ["/bin/sh"], 2, ["./", "bin/", "y x", "z y"]],
  );
});

test("readPath and writePath stay within a container, whatever its links say", async () => {
  await using images = await open();
  const secret = newDirectory();
  mkdirSync(secret);
  writeFileSync(join(secret, "key"), "host");
  const image = await pullTest(images, "cp", [
    [
      { name: "dir/", type: "directory" },
      { name: "dir/file", content: "f" },
      { name: "out", type: "symlink", linkname: `../../../../../..${secret}` },
    ],
  ]);
  await images.prepareLayer("c", image);
  const root = { containerId: "c" };
  const tarOf = (entries: readonly TarEntry[]) => makeTar(entries).then((tar) => Readable.from([tar]));
  await images.writePath(root, "/dir", {
    tar: await tarOf([{ name: "new", content: "n" }]),
    owner: { uid: 3, gid: 4 },
  });
  const outside = await problem(images.writePath(root, "/out", { tar: await tarOf([{ name: "evil", content: "e" }]) }));
  const replaced = await problem(
    images.writePath(root, "/", { tar: await tarOf([{ name: "dir", content: "e" }]), keepKinds: true }),
  );
  const stat = await images.statPath(root, "/out");
  assert.deepEqual(
    [
      await listTar(await images.readPath(root, "/dir")),
      await listTar(await images.readPath(root, "/dir/file")),
      stat && { ...stat, mtimeMs: 0, sizeBytes: 0 },
      await images.statPath(root, "/out/key"),
      await problem(images.readPath(root, "/none")),
      outside,
      replaced,
      readdirSync(secret),
      (await images.changes("c")).map(({ path }) => path),
    ],
    [
      ["dir/", "dir/file f", "dir/new n"],
      ["file f"],
      { name: "out", mode: 0o120777, linkTarget: `../../../../../..${secret}`, mtimeMs: 0, sizeBytes: 0 },
      undefined,
      "NoSuchPathError: could not find the file /none in container c",
      "NoSuchPathError: could not find the file /out in container c",
      "PullError: archive would put a file in the place of a directory: dir",
      ["key"],
      ["/dir", "/dir/new"],
    ],
  );
});

test("readPath of a process sees its mounts, and its links stay within its root", async () => {
  await using images = await open();
  const image = await pullTest(images, "cp-running", [[{ name: "mnt/", type: "directory" }]]);
  const { rootfs } = await images.prepareLayer("c", image);
  const place = newDirectory();
  mkdirSync(place);
  symlinkSync("/etc", join(folder, "etc-link"));
  const script = `mount -t overlay overlay -o ${rootfs.options.join(",")} ${place} && mount -t tmpfs t ${place}/mnt && echo v > ${place}/mnt/volume && mkdir ${place}/proc ${place}/old && cd ${place} && pivot_root . old && umount -l /old ; echo ready; read line`;
  const { spawn } = await import("node:child_process");
  const child = spawn("unshare", ["--mount", "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const files = await listTar(await images.readPath({ containerId: "c", pid: child.pid ?? 0 }, "/mnt"));
  child.stdin.end("\n");
  await new Promise((resolve) => child.once("close", resolve));
  assert.deepEqual(files, ["mnt/", "mnt/volume v"]);
});

test("prune removes what nobody uses, and usage counts each layer once", async () => {
  await using images = await open();
  const base = [{ name: "base", content: "12345" }];
  const one = await pullTest(images, "prune/one", [base, [{ name: "x", content: "1" }]]);
  const two = await pullTest(images, "prune/two", [base]);
  await images.tag(two.id, "two:1");
  await images.prepareLayer("user", one);
  const usage = await images.usage();
  await images.tag(two.id, "two:2");
  const dangling = await images.prune({ all: false });
  const all = await images.prune({ all: true });
  assert.deepEqual(
    [
      usage.images.map(({ image, sharedBytes, containerIds }) => [image.id, sharedBytes, containerIds]).sort(),
      [usage.layerBytes, usage.containers],
      dangling,
      all.removed.filter((removal) => "deleted" in removal),
      (await images.list()).map(({ id }) => id),
    ],
    [
      [
        [one.id, 5, ["user"]],
        [two.id, 5, []],
      ].sort(),
      [6, [{ containerId: "user", writableBytes: 0 }]],
      { removed: [], freedBytes: 0 },
      [{ deleted: two.id }],
      [one.id],
    ],
  );
});

test("a layer that was changed on the disk is refused when it leaves, in save", async () => {
  const dir = newDirectory();
  await using images = await open({ dir });
  const tar = await makeTar([{ name: "a", content: "1" }]);
  const image = await images.importTar(Readable.from([tar]), { tag: "root:1" });
  const [layer] = (await images.inspect(image.id)).layers;
  writeFileSync(join(dir, "layers", layer?.diffId.slice(7) ?? "", "a"), "2");
  assert.match(await problem(images.save(["root:1"])), /^PullError: layer sha256:\w+ was changed on the disk/);
});

test("search lists repositories where a registry gives them, and says when it does not", async () => {
  await using images = await open();
  await pullTest(images, "found/by-word", [[{ name: "a", content: "1" }]]);
  const found = await images.search("by-wo", { registry: registry.host });
  const denied = await problem(images.search("x", { registry: locked.host }));
  const nothing = await images.search("no-such-word", { registry: locked.host, credentials: ann });
  assert.deepEqual(
    [found, denied, nothing],
    [
      [{ name: "found/by-word", description: "", stars: 0, isOfficial: false }],
      "PullError: searching L is denied (401): log in to it",
      [],
    ],
  );
});
