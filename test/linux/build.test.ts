// Dockerfiles built on the real runtime, from an image with busybox that a real registry has.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { extract } from "tar-stream";
import { realClock, sleep } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import type { BuildEvent, Builder, BuildOptions, BuildResult } from "../../node-agent/build/build.ts";
import { openBuilder } from "../../node-agent/build/builder.ts";
import type { ImageLibrary } from "../../node-agent/images/library.ts";
import { hostPlatform } from "../../node-agent/images/manifest.ts";
import { openImages } from "../../node-agent/images/open-images.ts";
import {
  freePort,
  gzipLayer,
  makeImage,
  makeIndex,
  makeTar,
  pushImage,
  pushManifest,
  startRegistry,
  type TarEntry,
  type TestRegistry,
} from "../registry.ts";
import { debianProgram } from "../tools.ts";
import { openRig, type Rig } from "./rig.ts";

let rig: Rig;
let registry: TestRegistry;
let images: ImageLibrary;
let builder: Builder;
let next = 0;
before(async () => {
  execFileSync("sh", [new URL("../../node-agent/images/build.sh", import.meta.url).pathname]);
  rig = await openRig();
  registry = await startRegistry();
  await pushImage(registry, "busybox", { image: await busyboxImage(), tag: "1" });
  images = await openStore("images");
  builder = await openBuilder({ images, runtime: rig.runtime, clock: realClock });
});
after(async () => {
  await images?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
});

const openStore = (name: string) =>
  openImages({ dir: join(rig.directory, name), clock: realClock, random: realRandom(), log: silentLogger });

async function busyboxImage() {
  const program = readFileSync(await debianProgram("busybox-static", "bin/busybox"));
  const tools = [
    "sh",
    "cat",
    "ls",
    "echo",
    "mkdir",
    "rm",
    "test",
    "id",
    "stat",
    "true",
    "false",
    "chmod",
    "sleep",
    "env",
    "touch",
    "wc",
    "mount",
    "hostname",
    "grep",
  ];
  const entries: TarEntry[] = [
    { name: "bin/busybox", content: program, mode: 0o755 },
    ...tools.map((tool) => ({ name: `bin/${tool}`, type: "symlink" as const, linkname: "busybox" })),
    { name: "etc/passwd", content: "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n" },
    { name: "etc/group", content: "root:x:0:\nweb:x:34:\n" },
    { name: "lib", type: "symlink", linkname: "usr/lib" },
    { name: "usr/lib/", type: "directory" },
    { name: "tmp/", type: "directory", mode: 0o1777 },
  ];
  return makeImage([gzipLayer(await makeTar(entries))], { config: { Cmd: ["sh"], Env: ["PATH=/bin"] } });
}

/** A folder with these files; a Dockerfile's FROM may say BASE. */
function contextOf(files: Readonly<Record<string, string>>): string {
  const folder = join(rig.directory, `context-${next++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content.replaceAll("BASE", `${registry.host}/busybox:1`));
  }
  return folder;
}

interface Built {
  readonly result: BuildResult;
  readonly events: readonly BuildEvent[];
  readonly output: string;
  /** "done RUN x", … in the order in which they ended. */
  readonly steps: readonly string[];
}

async function buildFolder(path: string, options: BuildOptions = {}, by: Builder = builder): Promise<Built> {
  const events: BuildEvent[] = [];
  const result = await by.build({ type: "folder", path }, options, (event) => events.push(event));
  const output = events.map((event) => (event.type === "output" ? event.data.toString() : "")).join("");
  const steps = events.flatMap((event) =>
    event.type === "step" && event.state !== "started"
      ? [`${event.state} ${event.name.replaceAll(registry.host, "R")}`]
      : [],
  );
  return { result, events, output, steps };
}

const build = (files: Readonly<Record<string, string>>, options: BuildOptions = {}) =>
  buildFolder(contextOf(files), options);

const problem = (files: Readonly<Record<string, string>>, options: BuildOptions = {}) =>
  build(files, options).then(
    () => "none",
    (error: Error) => `${error.name}: ${error.message}`,
  );

/** Files of an image: "path mode uid:gid content". */
async function filesOf(id: string, prefix: string): Promise<readonly string[]> {
  const image = await images.find(id);
  assert(image !== undefined);
  const containerId = `look-${next++}`;
  await images.prepareLayer(containerId, image);
  const found: string[] = [];
  const reader = ((await images.readPath({ containerId }, prefix)) as Readable).pipe(extract());
  for await (const entry of reader) {
    let text = "";
    for await (const part of entry) text += part;
    const { name, mode = 0, uid, gid, linkname, type } = entry.header;
    const what = type === "directory" ? "/" : type === "symlink" ? `-> ${linkname}` : text.trim();
    found.push(`${name.replace(/\/$/, "")} ${mode.toString(8)} ${uid}:${gid} ${what}`);
  }
  await images.removeLayer(containerId);
  return found.sort();
}

const show = async (id: string, prefix: string) =>
  (await filesOf(id, prefix)).map((line) => line.replace(/ \S+ \S+ /, " "));

test("a Dockerfile becomes an image with its files, config and history build", async () => {
  const { result, output, steps } = await build(
    {
      Dockerfile: `FROM BASE
ARG greeting=hello
ENV WHO=world A=1
WORKDIR /srv/app
COPY . .
RUN echo "$greeting $WHO" > out && cat out && id -u && hostname && ls /proc/self/cwd > /dev/null
RUN mkdir /data && rm /etc/group
USER web
EXPOSE 80 90/udp
VOLUME /data
LABEL a="b c"
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "x"]`,
      ".dockerignore": "ignored\n*.md\n!kept.md\n",
      "a.txt": "A",
      ignored: "x",
      "no.md": "x",
      "kept.md": "k",
      "dir/b.txt": "B",
    },
    { tags: ["built:1"], buildArgs: { greeting: "hi" }, labels: { more: "yes" } },
  );
  const { image } = result;
  assert.deepEqual(
    [
      output,
      await show(image.id, "/srv"),
      (await images.inspect(image.id)).layers.length,
      image.tags,
      image.config,
      (await images.history(image.id)).map(({ createdBy }) => createdBy).slice(-6),
      steps,
      await show(image.id, "/etc"),
    ],
    [
      "hi world\n0\nbuildkitsandbox\n",
      [
        "srv /",
        "srv/app /",
        `srv/app/.dockerignore ignored\n*.md\n!kept.md`,
        ...(await show(image.id, "/srv/app/Dockerfile")).map((line) =>
          line.replace("Dockerfile", "srv/app/Dockerfile"),
        ),
        "srv/app/a.txt A",
        "srv/app/dir /",
        "srv/app/dir/b.txt B",
        "srv/app/kept.md k",
        "srv/app/out hi world",
      ].sort(),
      5,
      ["docker.io/library/built:1"],
      {
        ...{
          entrypoint: ["/bin/sh"],
          cmd: ["-c", "x"],
          env: ["PATH=/bin", "WHO=world", "A=1"],
          workingDir: "/srv/app",
        },
        ...{ user: "web", stopSignal: "SIGINT", exposedPorts: ["80/tcp", "90/udp"], volumes: ["/data"] },
        ...{ labels: { a: "b c", more: "yes" }, healthcheck: { test: ["CMD-SHELL", "true"], intervalNs: 5e9 } },
      },
      [
        "RUN |1 greeting=hi /bin/sh -c mkdir /data && rm /etc/group",
        'RUN |1 greeting=hi /bin/sh -c echo "$greeting $WHO" > out && cat out && id -u && hostname && ls /proc/self/cwd > /dev/null',
        "COPY . .",
        "WORKDIR /srv/app",
        "ENV WHO=world A=1",
        "",
      ],
      [
        "done [stage-0 1/5] FROM R/busybox:1",
        "done [stage-0 2/5] WORKDIR /srv/app",
        "done [stage-0 3/5] COPY . .",
        'done [stage-0 4/5] RUN echo "$greeting $WHO" > out && cat out && id -u && hostname && ls /proc/self/cwd > /dev/null',
        "done [stage-0 5/5] RUN mkdir /data && rm /etc/group",
      ],
      ["etc /", "etc/passwd root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh"],
    ],
  );
});

test("steps are known again by content, not by time, and only what follows a change is done again build", async () => {
  const files = {
    Dockerfile: 'FROM BASE\nRUN echo one > /1\nCOPY src /src\nRUN cat /src/* > /2\nENV A=b\nCMD ["x"]',
    "src/a": "A",
    "src/b": "B",
  };
  const path = contextOf(files);
  const first = await buildFolder(path);
  utimesSync(join(path, "src/a"), 1000, 1000);
  const second = await buildFolder(path);
  writeFileSync(join(path, "src/a"), "C");
  const third = await buildFolder(path);
  chmodSync(join(path, "src/a"), 0o755);
  const fourth = await buildFolder(path);
  const none = await buildFolder(path, { noCache: true });
  const states = ({ steps }: Built) => steps.map((step) => step.split(" ")[0]).join(" ");
  assert.deepEqual(
    [first, second, third, fourth, none].map(states).concat(String(first.result.image.id === second.result.image.id)),
    [
      "done done done done",
      "done cached cached cached",
      "done cached done done",
      "done cached done done",
      "done done done done",
      "true",
    ],
  );
});

test("a build of which all is known makes the image that is there, whatever its instructions do build", async () => {
  const texts = ["ENV A=1\nRUN echo x > /x\nLABEL a=b", "ENV A=1\nCMD a b", "USER 5"].map(
    (text) => `FROM BASE\n${text}`,
  );
  const ids = async (options: BuildOptions = {}) => {
    const made: string[] = [];
    for (const text of texts) made.push((await build({ Dockerfile: text }, options)).result.image.id);
    return made;
  };
  const first = await ids();
  assert.deepEqual(await ids(), first);
  assert.notDeepEqual(await ids({ noCache: true }), first);
});

test("an image has a PATH that instructions can add to, with or without one below build", async () => {
  const envs = ["scratch", "BASE"].map(async (base) => {
    const { result, events } = await build({ Dockerfile: `FROM ${base}\nENV PATH=/mine:$PATH A=b` });
    return [result.image.config.env, events.some(({ type }) => type === "warning")];
  });
  assert.deepEqual(await Promise.all(envs), [
    [["PATH=/mine:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=b"], false],
    [["PATH=/mine:/bin", "A=b"], false],
  ]);
});

test("stages run as far as the target needs them, take from each other and from images build", async () => {
  const files = {
    Dockerfile: `ARG base=BASE
FROM $base AS one
RUN mkdir /o && echo 1 > /o/1 && ln /o/1 /o/hard && ln -s 1 /o/soft
FROM $base AS two
RUN echo 2 > /2
FROM $base AS unneeded
RUN false
FROM scratch AS last
COPY --from=one /o /o
COPY --from=1 /2 /o/
COPY --from=BASE /etc/passwd /lib/../p
FROM last
COPY --from=unneeded /x /x`,
  };
  const { result, steps } = await build(files, { target: "last" });
  assert.deepEqual(
    [
      await show(result.image.id, "/o"),
      await show(result.image.id, "/p"),
      steps.filter((step) => /unneeded|fail/.test(step)),
    ],
    [["o /", "o/1 1", "o/2 2", "o/hard 1", "o/soft -> 1"], ["p root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh"], []],
  );
});

test("a stage has the arguments of the one below, and its user the home of passwd build", async () => {
  const { output, steps } = await build({
    Dockerfile: `FROM BASE AS one
ARG GREETING=hello
RUN echo kim:x:7:7::/home/kim: >> /etc/passwd
FROM one
USER kim
RUN echo $GREETING $HOME`,
  });
  assert.deepEqual([output, steps.at(-1)], ["hello /home/kim\n", "done [stage-1 2/2] RUN echo $GREETING $HOME"]);
});

test("COPY and ADD place files as Docker does, with owners, modes, patterns, links, heredocs and archives build", async () => {
  const tar = await makeTar([
    { name: "inner/file", content: "in" },
    { name: "inner/.wh.x", content: "w" },
  ]);
  const path = contextOf({
    Dockerfile: `FROM BASE
COPY --chown=web:34 --chmod=640 a.txt /new/dir/
COPY *.txt dir/?.c /all/
COPY a.txt /bin
COPY a.txt /file
COPY dir /d1
COPY dir/ /d2/
COPY dir /lib
COPY --link --chown=5 a.txt /linked/x
COPY --parents dir/b.c /par/
COPY --exclude=*.c dir /ex/
COPY --exclude=dir/sub --chmod=u=rwX,go= dir /only/
ADD x.tar.gz plain.gz /add/
COPY x.tar.gz /raw/
COPY link /via
COPY <<one <<"two" /here/
v=$PATH
one
v=$PATH
two`,
    "a.txt": "A",
    "c.txt": "C",
    "dir/b.c": "B",
    "dir/sub/d": "D",
    "plain.gz": "no archive",
  });
  writeFileSync(join(path, "x.tar.gz"), gzipSync(tar));
  symlinkSync("a.txt", join(path, "link"));
  symlinkSync("../a.txt", join(path, "dir/inner-link"));
  const { id } = (await buildFolder(path)).result.image;
  const look = async (...places: readonly string[]) =>
    (await Promise.all(places.map((place) => filesOf(id, place)))).flat();
  assert.deepEqual(
    [
      await look("/new"),
      await show(id, "/all"),
      await look("/bin/a.txt", "/file", "/via"),
      await show(id, "/d1"),
      await show(id, "/d2"),
      await show(id, "/usr/lib"),
      await look("/lib"),
      await look("/linked"),
      await show(id, "/par"),
      await show(id, "/ex"),
      await look("/only"),
      await show(id, "/add"),
      (await show(id, "/raw")).length,
      await show(id, "/here"),
    ],
    [
      ["new 755 33:34 /", "new/dir 755 33:34 /", "new/dir/a.txt 640 33:34 A"],
      ["all /", "all/a.txt A", "all/b.c B", "all/c.txt C"],
      ["a.txt 644 0:0 A", "file 644 0:0 A", "via 644 0:0 A"],
      ["d1 /", "d1/b.c B", "d1/inner-link -> ../a.txt", "d1/sub /", "d1/sub/d D"],
      ["d2 /", "d2/b.c B", "d2/inner-link -> ../a.txt", "d2/sub /", "d2/sub/d D"],
      ["lib /", "lib/b.c B", "lib/inner-link -> ../a.txt", "lib/sub /", "lib/sub/d D"],
      ["lib 777 0:0 -> usr/lib"],
      ["linked 755 5:5 /", "linked/x 644 5:5 A"],
      ["par /", "par/dir /", "par/dir/b.c B"],
      ["ex /", "ex/inner-link -> ../a.txt", "ex/sub /", "ex/sub/d D"],
      ["only 755 0:0 /", "only/b.c 600 0:0 B", "only/inner-link 777 0:0 -> ../a.txt"],
      ["add /", "add/inner /", "add/inner/.wh.x w", "add/inner/file in", "add/plain.gz no archive"],
      2,
      ["here /", "here/one v=/bin", "here/two v=$PATH"],
    ],
  );
});

test("a pattern may find nothing, by itself or beside files build", async () => {
  const lines = ["COPY none* /x/", "COPY package.json lock* ./", "STOPSIGNAL QUIT"];
  const { result } = await build({
    Dockerfile: `FROM scratch\nWORKDIR /app\n${lines.join("\n")}`,
    "package.json": "{}",
  });
  const { stopSignal } = (await images.inspect(result.image.id)).config;
  assert.deepEqual(
    [await show(result.image.id, "/"), stopSignal, await problem({ Dockerfile: "FROM scratch\nSTOPSIGNAL SIGFOO" })],
    [
      [". /", "./app /", "./app/package.json {}"],
      "QUIT",
      'DockerfileError: Dockerfile:2:1: STOPSIGNAL: "SIGFOO" is no signal: a name such as SIGINT or a number is expected',
    ],
  );
});

test("ADD fetches an URL, and refuses one with another checksum build", async () => {
  const server = createServer((_, response) => response.end("fetched")).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dir/name.txt`;
  const sum = "sha256:95eaa7d4c7e6b19d6a9fc4aa7d3f8bb6a4e1a9a6b8df7f5c1b0d5a9d5f5e6b5e";
  const { result } = await build({ Dockerfile: `FROM scratch\nADD ${url} /x/` });
  const wrong = await problem({ Dockerfile: `FROM scratch\nADD --checksum=${sum} ${url} /x/` });
  server.close();
  assert.deepEqual(
    [await filesOf(result.image.id, "/x"), /has digest sha256:\w+, not sha256:95eaa/.test(wrong)],
    [["x 755 0:0 /", "x/name.txt 600 0:0 fetched"], true],
  );
});

test("ADD fetches a commit of a git repository, and says why when it cannot build", async () => {
  const base = join(rig.directory, "repositories");
  const work = join(base, "app.git");
  mkdirSync(join(work, "sub"), { recursive: true });
  const git = (...args: readonly string[]) =>
    execFileSync("git", ["-c", "user.name=ann", "-c", "user.email=ann@example.com", ...args], {
      ...{ cwd: work, encoding: "utf8" },
    }).trim();
  git("init", "--quiet", "--initial-branch=main");
  writeFileSync(join(work, "a.txt"), "first");
  writeFileSync(join(work, "sub", "b.txt"), "below");
  // Of an archive this would leave files out.
  writeFileSync(join(work, ".gitattributes"), "a.txt export-ignore\n");
  git("add", ".");
  git("commit", "--quiet", "--message", "one");
  git("tag", "v1");
  const commit = git("rev-parse", "HEAD");
  writeFileSync(join(work, "a.txt"), "second");
  git("commit", "--quiet", "--all", "--message", "two");
  const port = await freePort();
  const daemon = spawn(
    join(git("--exec-path"), "git-daemon"),
    ["--listen=127.0.0.1", `--port=${port}`, "--export-all", "--reuseaddr", `--base-path=${base}`, base],
    { stdio: "ignore" },
  );
  try {
    const url = `git://127.0.0.1:${port}/app.git`;
    await untilListens(port);
    const { result } = await build({
      Dockerfile: `FROM scratch
ADD ${url} /main/
ADD --checksum=${commit} --chown=3:4 ${url}#v1 /v1/
ADD ${url}#main:sub /sub/
ADD --keep-git-dir=true ${url}#v1 /whole/
`,
    });
    const found = await Promise.all(["/main", "/v1", "/sub", "/whole"].map((path) => filesOf(result.image.id, path)));
    const files = found.flat().filter((line) => !line.startsWith("whole/.git/"));
    const refused = async (add: string) =>
      /(ADD|git|couldn't|ssh|commit)[^\n]*/.exec(await problem({ Dockerfile: `FROM scratch\nADD ${add} /x/` }))?.[0];
    assert.deepEqual(
      [
        files,
        (await refused(`--checksum=${"0".repeat(40)} ${url}`))?.includes("not 0000"),
        await refused(`${url}#none`),
        await refused("git@example.com:a/b.git"),
      ],
      [
        [
          "main 755 0:0 /",
          "main/.gitattributes 644 0:0 a.txt export-ignore",
          "main/a.txt 644 0:0 second",
          "main/sub 755 0:0 /",
          "main/sub/b.txt 644 0:0 below",
          "v1 755 3:4 /",
          "v1/.gitattributes 644 3:4 a.txt export-ignore",
          "v1/a.txt 644 3:4 first",
          "v1/sub 755 3:4 /",
          "v1/sub/b.txt 644 3:4 below",
          "sub 755 0:0 /",
          "sub/b.txt 644 0:0 below",
          "whole 755 0:0 /",
          "whole/.git 755 0:0 /",
          "whole/.gitattributes 644 0:0 a.txt export-ignore",
          "whole/a.txt 644 0:0 first",
          "whole/sub 755 0:0 /",
          "whole/sub/b.txt 644 0:0 below",
        ],
        true,
        `${url} cannot be fetched: couldn't find remote ref none`,
        "git@example.com:a/b.git is reached by ssh, for which a build has no key: name it by https",
      ],
    );
  } finally {
    daemon.kill("SIGKILL");
  }
});

async function untilListens(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const socket = connect(port, "127.0.0.1");
    const opened = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (opened === true) return;
    await sleep(realClock, 50);
  }
  throw new Error("git-daemon does not listen");
}

test("images for other machines are made of their base, and RUN says what it lacks build", async () => {
  const foreign = hostPlatform().architecture === "riscv64" ? "s390x" : "riscv64";
  const [own, other] = [
    await busyboxImage(),
    makeImage([gzipLayer(await makeTar([{ name: "etc/foreign", content: "yes" }]))], { architecture: foreign }),
  ];
  for (const image of [own, other])
    await pushImage(registry, "several", { image, tag: image === own ? "own" : "other" });
  const index = makeIndex([
    { image: own, architecture: hostPlatform().architecture },
    { image: other, architecture: foreign },
  ]);
  const mediaType = "application/vnd.oci.image.index.v1+json";
  await pushManifest(registry, "several", { bytes: index, mediaType, tag: "1" });
  const name = `${registry.host}/several:1`;
  const platform = { os: "linux", architecture: foreign };
  const copied = await build({ Dockerfile: `FROM --platform=linux/${foreign} ${name}\nCOPY f /f\n`, f: "file" });
  const target = await build({ Dockerfile: `FROM ${name}\nARG TARGETARCH\nLABEL for=$TARGETARCH\n` }, { platform });
  const scratch = await build({ Dockerfile: "FROM scratch\nCOPY f /f\n", f: "file" }, { platform });
  const native = await build({ Dockerfile: `FROM ${name}\nRUN echo runs > /f\n` });
  const refused = await problem({ Dockerfile: `FROM --platform=linux/${foreign} ${name}\nRUN true\n` });
  const platforms = [copied, target, scratch, native].map(
    async ({ result }) => (await images.inspect(result.image.id)).platform.architecture,
  );
  assert.deepEqual(
    [
      await Promise.all(platforms),
      await filesOf(copied.result.image.id, "/f"),
      target.result.image.config.labels,
      await filesOf(native.result.image.id, "/f"),
      refused.split("\n")[0]?.replace(/ \(binfmt.*/, ""),
    ],
    [
      [foreign, foreign, foreign, hostPlatform().architecture],
      ["f 644 0:0 file"],
      { for: foreign },
      ["f 644 0:0 runs"],
      `StepError: programs of linux/${foreign} do not run here: this node is linux/${hostPlatform().architecture}, and its kernel knows no interpreter of them in every container`,
    ],
  );
});

test("RUN has its mounts, heredocs, network and user, and leaves no trace of them build", async () => {
  const { output, result } = await build(
    {
      Dockerfile: `FROM BASE AS other
RUN echo o > /o
FROM BASE
RUN --mount=type=secret,id=key,target=/s/key --mount=type=secret,id=key,env=KEY cat /s/key && echo $KEY && stat -c %a /s/key
RUN --mount=type=bind,target=/ctx --mount=type=bind,from=other,target=/other cat /ctx/f /other/o && ! touch /ctx/x 2>/dev/null
RUN --mount=type=cache,target=/c echo cached > /c/f
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t cat /c/f && touch /t/x
RUN --network=none grep -c : /proc/net/dev
USER web
RUN id -u && id -g
USER root
RUN <<EOF
echo script one
echo script two
EOF
RUN <<EOF cat
heredoc in shell
EOF
RUN <<EOF
#!/bin/cat
EOF
SHELL ["/bin/busybox", "echo"]
RUN own shell`,
      f: "file\n",
    },
    { secrets: { key: Buffer.from("secret\n") } },
  );
  const image = await images.inspect(result.image.id);
  assert.deepEqual(
    [
      output.split("\n"),
      await show(image.id, "/etc"),
      image.layers.length,
      JSON.stringify(image.raw).includes("secret\\n"),
    ],
    [
      [
        ...["secret", "secret", "400", "file", "o", "cached", "1", "33", "34", "script one", "script two"],
        ...["heredoc in shell", "#!/bin/cat", "own shell", ""],
      ],
      ["etc /", "etc/group root:x:0:\nweb:x:34:", "etc/passwd root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh"],
      1,
      false,
    ],
  );
});

test("a step that fails tells its command, exit code and lines build", async () => {
  const failed = await problem({ Dockerfile: "FROM BASE\nRUN true\nRUN echo no && \\\n  exit 3\nRUN true" });
  const missing = await problem({ Dockerfile: "FROM BASE\nCOPY none /x" });
  const start = await problem({ Dockerfile: 'FROM BASE\nRUN ["/none"]' });
  assert.deepEqual(
    [failed, missing.split("\n")[0], /^StepError: process "\/none" cannot be started: /.test(start)],
    [
      `StepError: process "/bin/sh -c echo no &&   exit 3" did not complete successfully: exit code: 3
Dockerfile:3
--------------------
   2 |     RUN true
   3 | >>> RUN echo no && \\
   4 | >>>   exit 3
   5 |     RUN true
--------------------`,
      'StepError: "none" is not found in the context (is it named in .dockerignore?)',
      true,
    ],
  );
});

test("what is suspicious is told, and refused where the Dockerfile says so build", async () => {
  const text = ["FROM BASE", "MAINTAINER me", `ENV a=$none$\{other:-x}`, "LABEL l=$none"].join("\n");
  const { events } = await build({ Dockerfile: text }, { buildArgs: { USED: "1", no_proxy: "x" } });
  assert.deepEqual(
    [
      events.filter(({ type }) => type === "warning"),
      await problem({ Dockerfile: `# check=skip=UndefinedVar;error=true\n${text}` }),
      await problem({ Dockerfile: `FROM scratch\nADD --checksum=sha256:${"0".repeat(64)} f /f`, f: "1" }),
    ],
    [
      [
        {
          type: "warning",
          text: 'MaintainerDeprecated: MAINTAINER is deprecated: LABEL org.opencontainers.image.authors="…" says the same',
          line: 2,
        },
        { type: "warning", text: "no ARG takes the build argument USED" },
        { type: "warning", text: "UndefinedVar: $none has no value here", line: 3 },
        { type: "warning", text: "UndefinedVar: $none has no value here", line: 4 },
      ],
      'DockerfileError: Dockerfile:3:1: MaintainerDeprecated: MAINTAINER is deprecated: LABEL org.opencontainers.image.authors="…" says the same',
      "DockerfileError: Dockerfile:2:1: ADD: --checksum is for what is fetched: an URL or a git repository",
    ],
  );
});

test("an image that cannot be had is told with its place, and proxies come in both cases build", async () => {
  const name = `${registry.host}/none:1`;
  const { output } = await build(
    { Dockerfile: "FROM BASE\nRUN echo $HTTP_PROXY $http_proxy $no_proxy" },
    { buildArgs: { HTTP_PROXY: "p", no_proxy: "n" } },
  );
  const told = (await problem({ Dockerfile: `FROM ${name} AS x\nRUN true` })).split("\n");
  assert.deepEqual(
    [output, told.slice(1, 4)],
    ["p p n\n", ["Dockerfile:1", "-".repeat(20), `   1 | >>> FROM ${name} AS x`]],
  );
});

test("with a date given, two builds of the same have one digest build", async () => {
  const path = contextOf({ Dockerfile: "FROM BASE\nCOPY f /d/f\nRUN echo x > /x && mkdir /y\nWORKDIR /z", f: "1" });
  const options = { sourceDateEpoch: 1_000_000, noCache: true };
  const first = await buildFolder(path, options);
  utimesSync(join(path, "f"), 5_000_000, 5_000_000);
  const second = await buildFolder(path, options);
  const created = (await images.inspect(first.result.image.id)).created;
  assert.deepEqual([first.result.image.id, created], [second.result.image.id, "1970-01-12T13:46:40.000Z"]);
});

test("ONBUILD of an image is done by who builds upon it build", async () => {
  await build({ Dockerfile: "FROM BASE\nONBUILD COPY f /f\nONBUILD RUN cat /f" }, { tags: ["trigger:1"] });
  const { output, result } = await build({ Dockerfile: "FROM trigger:1\nENV A=b", f: "fired\n" });
  assert.deepEqual([output, result.image.config.onBuild], ["fired\n", undefined]);
});

test("a cache travels as an image to another store build", async () => {
  const files = { Dockerfile: "FROM BASE\nRUN echo long > /x\nCOPY f /f", f: "1" };
  const cacheName = `${registry.host}/cache:1`;
  await build(files, { cacheTo: cacheName });
  await images.push(cacheName, { credentials: [] });
  await using other = await openStore("other");
  const by = await openBuilder({ images: other, runtime: rig.runtime, clock: realClock });
  const { steps } = await buildFolder(contextOf(files), { cacheFrom: [cacheName] }, by);
  assert.deepEqual(
    steps.map((step) => step.split(" ")[0]),
    ["done", "cached", "cached"],
  );
});

test("a tar is a context, wherever its links lead build", async () => {
  const tar = await makeTar([
    { name: "Dockerfile", content: "FROM scratch\nCOPY . /" },
    { name: "x/.wh.y", content: "w" },
    { name: "out", type: "symlink", linkname: "/etc/passwd" },
  ]);
  const { image } = await builder.build({ type: "tar", stream: Readable.from([gzipSync(tar)]) }, {}, () => {});
  const escaping = await makeTar([
    { name: "Dockerfile", content: "FROM scratch\nCOPY out /" },
    { name: "out", type: "symlink", linkname: "/etc/passwd" },
  ]);
  const refused = await builder
    .build({ type: "tar", stream: Readable.from([escaping]) }, {}, () => {})
    .catch((error: Error) => error.message.split("\n")[0]);
  assert.deepEqual(
    [await show(image.id, "/x"), await show(image.id, "/out"), refused],
    [["x /", "x/.wh.y w"], ["out -> /etc/passwd"], '"out" is not found in the context (is it named in .dockerignore?)'],
  );
});

test("a build that is given up leaves no container and no draft build", async () => {
  const stop = new AbortController();
  const path = contextOf({ Dockerfile: "FROM BASE\nRUN echo begun && sleep 1000" });
  const onEvent = (event: BuildEvent) => {
    if (event.type === "output") stop.abort(new Error("given up"));
  };
  const ended = await builder
    .build({ type: "folder", path }, {}, onEvent, stop.signal)
    .catch((error: Error) => error.message);
  assert.deepEqual([ended, await rig.runtime.list()], ["given up", []]);
});
