// Layers that try to reach the machine through links, whiteouts, attributes and sizes. Whatever each is answered with, nothing outside of
// its folder may change; where a layer has a meaning, it is the one that it has inside.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeTar, type TarEntry } from "../../test/registry.ts";
import { PullError } from "./images.ts";
import { unpackLayer } from "./unpack.ts";

execFileSync(new URL("./build.sh", import.meta.url).pathname);
const folder = mkdtempSync(join(tmpdir(), `naru-hostile-${process.pid}-`));
after(() => rmSync(folder, { recursive: true, force: true }));
const outside = join(folder, "outside");
mkdirSync(join(outside, "deep"), { recursive: true });
writeFileSync(join(outside, "secret"), "secret");
writeFileSync(join(outside, "deep", "secret"), "secret");
const up = `${"../".repeat(30)}${outside.slice(1)}`;
/** Of a name that nothing on the machine has. */
const planted = `naru-planted-${process.pid}`;
let next = 0;

/** Where it was unpacked, or why not. */
async function unpack(tar: Buffer): Promise<{ readonly directory: string; readonly refusal: string }> {
  const directory = join(folder, String(next++));
  mkdirSync(directory);
  const digest = `sha256:${createHash("sha256").update(tar).digest("hex")}`;
  const bytes = (async function* () {
    yield tar;
  })();
  const limits = { bytesMax: 1_000_000, entriesMax: 100 };
  const refusal = await unpackLayer({ bytes, digest, diffId: digest }, { directory, limits }).then(
    () => "",
    (error: unknown) => {
      assert(error instanceof PullError);
      return error.message.replace(/^layer sha256:\w+ /, "");
    },
  );
  return { directory, refusal };
}

const link = (name: string, linkname: string): TarEntry => ({ name, type: "symlink", linkname });
const hard = (name: string, linkname: string): TarEntry => ({ name, type: "link", linkname });
const file = (name: string, content = "x"): TarEntry => ({ name, content });

test("links and whiteouts reach nothing outside unpackLayer", async () => {
  const layers: Readonly<Record<string, readonly TarEntry[]>> = {
    "a whiteout below a link": [link("l", outside), file("l/.wh.secret", "")],
    "a whiteout below a link that goes up": [link("l", up), file("l/.wh.secret", "")],
    "an opaque whiteout below a link": [link("l", up), file("l/.wh..wh..opq", "")],
    "a whiteout of the link's target by way of its name": [link("l", `${up}/secret`), file(".wh.l", "")],
    "a file below a link that goes up": [link("l", up), file("l/new")],
    "a file in the place of a link": [link("l", `${up}/secret`), file("l")],
    "a directory in the place of a link": [link("l", up), { name: "l", type: "directory" }, file("l/new")],
    "a link in the place of a directory": [{ name: "d", type: "directory" }, link("d", up), file("d/new")],
    "a hard link to a link, written to": [link("s", `${up}/secret`), hard("h", "s"), file("h")],
    "a hard link below a link": [link("l", up), hard("h", "l/secret"), file("h")],
    "a hard link into a link's directory": [file("f"), link("l", up), hard("l/new", "f")],
    "links in a circle": [link("a", "b"), link("b", "a"), file("a/new")],
    "a link to the kernel's links": [
      link("l", "/proc/self/root"),
      file(`l/${planted}`),
      link("m", "/proc/1/cwd"),
      file(`m/${planted}`),
    ],
    "the root as a link": [{ name: "./", type: "symlink", linkname: up }, file("new")],
    "a device with a file below": [{ name: "d", type: "block-device", devmajor: 8, devminor: 0 }, file("d/new")],
  };
  const outcomes: Record<string, string> = {};
  for (const [name, entries] of Object.entries(layers)) {
    const { directory, refusal } = await unpack(await makeTar(entries));
    outcomes[name] = refusal === "" ? readdirSync(directory).toSorted().join(" ") : refusal;
  }
  const seen = readdirSync(outside, { recursive: true, encoding: "utf8" }).toSorted();
  const contents = ["secret", "deep/secret"].map((name) => readFileSync(join(outside, name), "utf8"));
  assert.deepEqual(
    [seen, contents, existsSync(`/${planted}`)],
    [["deep", "deep/secret", "secret"], ["secret", "secret"], false],
  );
  const below = (name: string) => `has files below ${name}, which is not a directory`;
  assert.deepEqual(outcomes, {
    "a whiteout below a link": below("l"),
    "a whiteout below a link that goes up": below("l"),
    "an opaque whiteout below a link": below("l"),
    "a whiteout of the link's target by way of its name": "l",
    "a file below a link that goes up": below("l"),
    "a file in the place of a link": "l",
    "a directory in the place of a link": "l",
    "a link in the place of a directory": below("d"),
    "a hard link to a link, written to": "h s",
    "a hard link below a link": "has a hard link h to l/secret, which the layer does not hold",
    "a hard link into a link's directory": below("l"),
    "links in a circle": "open directory a: Too many levels of symbolic links",
    "a link to the kernel's links": below("l"),
    "the root as a link": "new",
    "a device with a file below": below("d"),
  });
});

test("sizes that lie and files that are no files are refused unpackLayer", async () => {
  const pax = async (records: Readonly<Record<string, string>>) =>
    (await unpack(await makeTar([{ name: "p", content: "x", pax: records }]))).refusal;
  // Of what the first of two said, the second one's reader must not speak any more: it is gone.
  const paxTwice = async () => {
    const first = await makeTar([{ ...file("p"), pax: { path: "first" } }]);
    const second = await makeTar([{ ...file("p"), pax: { mtime: "1" } }]);
    return (await unpack(Buffer.concat([first.subarray(0, 1024), second]))).refusal;
  };
  const changed = async (change: (header: Buffer) => void) => {
    const tar = await makeTar([file("a", "x".repeat(600))]);
    change(tar.subarray(0, 512));
    tar.write("        ", 148, "latin1");
    const sum = tar.subarray(0, 512).reduce((a, b) => a + b, 0);
    tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    return (await unpack(tar)).refusal;
  };
  assert.deepEqual(
    {
      paxHuge: await pax({ size: "18446744073709551615" }),
      paxNegative: await pax({ size: "-1" }),
      paxWords: await pax({ size: "1e9" }),
      paxSparse: await pax({ "GNU.sparse.size": "1099511627776", "GNU.sparse.map": "0,1" }),
      paxTwice: await paxTwice(),
      oldSparse: await changed((header) => header.write("S", 156, "latin1")),
      binaryHuge: await changed((header) => header.fill(0xff, 124, 136)),
      binaryAlmost: await changed((header) =>
        header.write("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 124, "latin1"),
      ),
      longName: await changed((header) => {
        header.write("L", 156, "latin1");
        header.write("77777777777\0", 124, "latin1");
      }),
      paxHeader: await changed((header) => {
        header.write("x", 156, "latin1");
        header.write("77777777777\0", 124, "latin1");
      }),
    },
    {
      paxHuge: "has a number that is none",
      paxNegative: "has a number that is none",
      paxWords: "has a number that is none",
      paxSparse: "has a sparse file, which Naru does not unpack",
      paxTwice: "has two extended headers for one entry",
      oldSparse: "has a sparse file, which Naru does not unpack",
      binaryHuge: "has a negative number where there can be none",
      binaryAlmost: "unpacks to more than 1000000 bytes",
      longName: "has an extended header of more than 1048576 bytes",
      paxHeader: "has an extended header of more than 1048576 bytes",
    },
  );
});

test("overlayfs takes no orders from a layer's attributes unpackLayer", async () => {
  const orders = { "SCHILY.xattr.trusted.overlay.redirect": "/hidden", "SCHILY.xattr.trusted.overlay.metacopy": "" };
  const lower = await unpack(await makeTar([file("hidden/leak"), file("d/own")]));
  const upper = await unpack(
    await makeTar([
      { name: "d", type: "directory", pax: orders },
      { ...file("f"), pax: orders },
    ]),
  );
  const mounted = join(folder, "mounted");
  mkdirSync(mounted);
  // In a mount namespace of its own, so that nothing is left over whatever happens.
  const options = `redirect_dir=follow,metacopy=on,lowerdir=${upper.directory}:${lower.directory}`;
  const script = `mount -t overlay overlay -o ${options} ${mounted} && ls ${mounted}/d && cat ${mounted}/f`;
  assert.equal(execFileSync("unshare", ["--mount", "sh", "-c", script], { encoding: "utf8" }), "own\nx");
});
