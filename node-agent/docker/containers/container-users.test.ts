// passwd as a container has it, or what it has put in its place.
import { deepEqual, equal, rejects } from "node:assert/strict";
import { once } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { pack } from "tar-stream";
import { makeTar, type TarEntry } from "../../../test/registry.ts";
import type { ImageLibrary } from "../../images/library.ts";
import { containersOwnUser } from "./container-users.ts";

const imagesOf = (read: (path: string) => Readable | Promise<Readable>) =>
  ({ readPath: async (_root: unknown, path: string) => read(path) }) as unknown as Pick<ImageLibrary, "readPath">;
const tarOf = async (...entries: readonly TarEntry[]) => Readable.from([await makeTar(entries)]);
const root = { containerId: "c" };

test("containersOwnUser knows whom the container has made", async () => {
  const files: Record<string, string> = {
    "/etc/passwd": "ann:x:1000:1001::/home/ann:/bin/sh\n",
    "/etc/group": "staff:x:50:ann\n",
  };
  const images = imagesOf((path) => tarOf({ name: "file", content: files[path] ?? "" }));
  deepEqual(await containersOwnUser(images, root, "ann"), {
    ...{ uid: 1000, gid: 1001, additionalGids: [50], home: "/home/ann" },
  });
});

test("containersOwnUser finds nobody in what is no small file, and does not read it to its end", async () => {
  let given = 0;
  const endless = async () => {
    const tar = pack();
    tar.entry({ name: "passwd", size: 2 ** 40 });
    const [head] = (await once(tar, "data")) as [Buffer];
    async function* bytes() {
      yield head;
      for (;;) {
        given++;
        yield Buffer.alloc(64 * 1024);
      }
    }
    return Readable.from(bytes());
  };
  await rejects(containersOwnUser(imagesOf(endless), root, "ann"), /ann/);
  equal(given < 100, true);
});

test("containersOwnUser survives a reading that breaks off", async () => {
  const broken = () => {
    const tar = new PassThrough();
    tar.write(Buffer.alloc(100));
    setImmediate(() => tar.destroy(new Error("changes while it is read")));
    return tar;
  };
  await rejects(containersOwnUser(imagesOf(broken), root, "ann"), /ann/);
});
