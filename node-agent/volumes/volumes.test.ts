// Volumes on a real file system.
import assert from "node:assert/strict";
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Volume } from "../../api/kinds/generated/types.ts";
import { writeFiles } from "./atomic-files.ts";
import { memorySizeMax } from "./empty-dir.ts";
import { volumeTypeOf } from "./list.ts";
import { bytesBelow } from "./usage.ts";
import { type VolumeContext, VolumeError } from "./volume-type.ts";

function inFolder(title: string, run: (dir: string) => Promise<void>): void {
  test(title, async () => {
    const dir = await mkdtemp(join(tmpdir(), `naru-volumes-${process.pid}-`));
    try {
      await run(dir);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
}

const nobody = { fsGroup: undefined };
const file = (text: string, mode = 0o644) => ({ content: Buffer.from(text), mode });

inFolder("writeFiles replaces all files at once and says whether it had to", async (dir) => {
  const volume = join(dir, "v");
  const changed = [
    await writeFiles(
      volume,
      new Map([
        ["a", file("1")],
        ["sub/b", file("2", 0o400)],
      ]),
      nobody,
    ),
    await writeFiles(
      volume,
      new Map([
        ["a", file("1")],
        ["sub/b", file("2", 0o400)],
      ]),
      nobody,
    ),
  ];
  const before = await readlink(join(volume, "..data"));
  changed.push(await writeFiles(volume, new Map([["a", file("3")]]), nobody));
  const names = (await readdir(volume)).filter((name) => !name.startsWith("..2"));
  assert.deepEqual(
    [
      changed,
      names.sort(),
      await readFile(join(volume, "a"), "utf8"),
      (await readlink(join(volume, "..data"))) !== before,
    ],
    [[true, false, true], ["..data", "a"], "3", true],
  );
});

inFolder("writeFiles refuses paths that lead out of the folder", async (dir) => {
  for (const path of ["../x", "/x", "a/../../x", "..data", ""]) {
    await assert.rejects(writeFiles(join(dir, "v"), new Map([[path, file("")]]), nobody), /invalid path/);
  }
});

function contextOf(dir: string, volume: Volume): VolumeContext {
  return {
    pod: { metadata: { name: "p", namespace: "default", uid: "u", labels: { app: "x" } } },
    volume,
    dir: join(dir, "disk"),
    memoryDir: join(dir, "memory"),
    configMap: (name) => (name === "cm" ? { data: { "a.txt": "A", b: "B" }, binaryData: { c: "AAE=" } } : undefined),
    secret: (name) => (name === "sec" ? { data: { pw: Buffer.from("x").toString("base64") } } : undefined),
    fsGroup: undefined,
    fsUser: undefined,
    memoryBytesMax: undefined,
    serviceAccountToken: async ({ audience = "" }) => `token for ${audience}`,
    imageRoot: () => Promise.reject(new Error("no image")),
    claim: () => undefined,
    persistentVolume: () => undefined,
    localVolumesDir: "/nonexistent",
    downwardText: () => "text",
  };
}

const made: readonly (readonly [string, Volume, Readonly<Record<string, string>>, "disk" | "memory"])[] = [
  ["a ConfigMap's keys", { name: "v", configMap: { name: "cm" } }, { "a.txt": "A", b: "B", c: "\0\u0001" }, "disk"],
  [
    "chosen items",
    { name: "v", configMap: { name: "cm", items: [{ key: "b", path: "x/y" }] } },
    { "x/y": "B" },
    "disk",
  ],
  ["a Secret in memory", { name: "v", secret: { secretName: "sec" } }, { pw: "x" }, "memory"],
  ["nothing for an optional Secret", { name: "v", secret: { secretName: "none", optional: true } }, {}, "memory"],
  ["fields", { name: "v", downwardAPI: { items: [{ path: "labels" }] } }, { labels: "text" }, "disk"],
  [
    "projections together",
    {
      name: "v",
      projected: {
        sources: [
          { configMap: { name: "cm", items: [{ key: "b", path: "b" }] } },
          { secret: { name: "sec" } },
          { serviceAccountToken: { path: "token", audience: "vault" } },
        ],
      },
    },
    { b: "B", pw: "x", token: "token for vault" },
    "memory",
  ],
];

for (const [title, volume, files, place] of made) {
  inFolder(`setUp writes ${title}`, async (dir) => {
    const { path } = await volumeTypeOf(volume).setUp(contextOf(dir, volume));
    const read: Record<string, string> = {};
    for (const name of Object.keys(files)) read[name] = await readFile(join(path, name), "utf8");
    assert.deepEqual([path, read], [join(dir, place), files]);
  });
}

const refused: readonly (readonly [string, Volume, string])[] = [
  ["a missing ConfigMap", { name: "v", configMap: { name: "none" } }, 'configmap "none" not found'],
  ["a missing Secret", { name: "v", secret: { secretName: "none" } }, 'secret "none" not found'],
  [
    "a hostPath of another kind",
    { name: "v", hostPath: { path: "/dev/null", type: "File" } },
    "hostPath type check failed: /dev/null is not a file",
  ],
  [
    "a hostPath that is not there",
    { name: "v", hostPath: { path: "/nowhere", type: "Directory" } },
    "hostPath type check failed: /nowhere does not exist",
  ],
  [
    "an unknown medium",
    { name: "v", emptyDir: { medium: "Tape" } },
    'emptyDir medium "Tape" is not supported; it may be "", "Memory", "HugePages" or "HugePages-<size>"',
  ],
];

for (const [title, volume, message] of refused) {
  inFolder(`setUp refuses ${title}`, async (dir) => {
    await assert.rejects(volumeTypeOf(volume).setUp(contextOf(dir, volume)), { name: "VolumeError", message });
  });
}

test("volumeTypeOf names what this node has", () => {
  assert.throws(
    () => volumeTypeOf({ name: "v", nfs: { server: "s", path: "/" } }),
    /volume type nfs is not supported; this node has configMap/,
  );
});

inFolder("setUp lets every user write to an emptyDir", async (dir) => {
  const volume: Volume = { name: "v", emptyDir: {} };
  const { path } = await volumeTypeOf(volume).setUp(contextOf(dir, volume));
  assert.equal((await stat(path)).mode & 0o777, 0o777);
});

inFolder("setUp gives a pod's own volumes to its fsGroup, also what is written later", async (dir) => {
  let text = "one";
  const context = {
    ...contextOf(dir, {
      name: "v",
      secret: { secretName: "sec", defaultMode: 0o400, items: [{ key: "pw", path: "a/b" }] },
    }),
    fsGroup: 4321,
    secret: () => ({ data: { pw: Buffer.from(text).toString("base64") } }),
  };
  const seen = async (path: string) => {
    const { mode, gid } = await stat(path);
    return [(mode & 0o7777).toString(8), gid];
  };
  const { path } = await volumeTypeOf(context.volume).setUp(context);
  const before = [await seen(path), await seen(join(path, "a")), await seen(join(path, "a/b"))];
  text = "two";
  await volumeTypeOf(context.volume).refresh?.(context);
  const after = [await seen(path), await seen(join(path, "a")), await seen(join(path, "a/b"))];
  const scratch = { ...contextOf(dir, { name: "e", emptyDir: {} }), fsGroup: 4321 };
  const empty = await volumeTypeOf(scratch.volume).setUp(scratch);
  const wanted = [
    ["2755", 4321],
    ["2755", 4321],
    ["440", 4321],
  ];
  assert.deepEqual(
    [before, after, await readFile(join(path, "a/b"), "utf8"), await seen(empty.path)],
    [wanted, wanted, "two", ["2777", 4321]],
  );
});

inFolder("setUp leaves an emptyDir as its containers made it", async (dir) => {
  const context = contextOf(dir, { name: "v", emptyDir: {} });
  const { path } = await volumeTypeOf(context.volume).setUp(context);
  await chmod(path, 0o700);
  await volumeTypeOf(context.volume).setUp(context);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
});

test("memorySizeMax takes the smaller limit that is one", () => {
  assert.deepEqual(
    [
      memorySizeMax("64Mi", 2 ** 20),
      memorySizeMax("1Mi", 2 ** 26),
      memorySizeMax("0", 2 ** 20),
      memorySizeMax("1500m", undefined),
      memorySizeMax(undefined, 2 ** 20),
      memorySizeMax(undefined, undefined),
      memorySizeMax("0", undefined),
    ],
    [2 ** 20, 2 ** 20, 2 ** 20, 2, 2 ** 20, undefined, undefined],
  );
});

inFolder("bytesBelow counts what is on the disk, links once, and stops when it knows enough", async (dir) => {
  await mkdir(join(dir, "a/b"), { recursive: true });
  await writeFile(join(dir, "a/b/big"), Buffer.alloc(64 * 1024, 1));
  const once = await bytesBelow(dir, 2 ** 40);
  await link(join(dir, "a/b/big"), join(dir, "a/again"));
  await symlink("/usr", join(dir, "a/far"));
  const twice = await bytesBelow(dir, 2 ** 40);
  assert.deepEqual(
    [
      once >= 64 * 1024,
      once < 128 * 1024,
      twice - once < 1024,
      (await bytesBelow(dir, 1)) > 1,
      await bytesBelow("/none", 1),
    ],
    [true, true, true, true, 0],
  );
});

inFolder("setUp gives a token to the pod's user and group alone, where it has one", async (dir) => {
  const sources = [
    { serviceAccountToken: { path: "token" } },
    { downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
  ];
  const look = async (name: string, owner: Pick<VolumeContext, "fsGroup" | "fsUser">) => {
    const context = { ...contextOf(join(dir, name), { name, projected: { sources } }), ...owner };
    const { path } = await volumeTypeOf(context.volume).setUp(context);
    const owned = async (file: string) => {
      const { uid, gid, mode } = await stat(join(path, file));
      return `${file} ${uid}:${gid} ${(mode & 0o777).toString(8)}`;
    };
    return [await owned("token"), await owned("name")];
  };
  assert.deepEqual(
    [
      await look("anybody", { fsGroup: undefined, fsUser: undefined }),
      await look("user", { fsGroup: undefined, fsUser: 1000 }),
      await look("group", { fsGroup: 77, fsUser: undefined }),
      await look("both", { fsGroup: 77, fsUser: 1000 }),
    ],
    [
      ["token 0:0 644", "name 0:0 644"],
      ["token 1000:0 600", "name 0:0 644"],
      ["token 0:77 640", "name 0:77 644"],
      ["token 1000:77 640", "name 0:77 644"],
    ],
  );
});

inFolder("setUp keeps a token that was written when no other can be had", async (dir) => {
  const sources = [{ serviceAccountToken: { path: "token" } }];
  const context = contextOf(dir, { name: "v", projected: { sources } });
  const refused = { ...context, serviceAccountToken: () => Promise.reject(new VolumeError("nobody answers")) };
  await assert.rejects(volumeTypeOf(context.volume).setUp(refused), /nobody answers/);
  const { path } = await volumeTypeOf(context.volume).setUp(context);
  await volumeTypeOf(context.volume).setUp(refused);
  assert.equal(await readFile(join(path, "token"), "utf8"), "token for ");
});
