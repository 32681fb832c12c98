// How images, pulls and credentials are spoken of with docker's clients.
import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "../../../lib/virtual-clock.ts";
import { buildWarnings, parseBuild, parsePrune, parseRegistryConfig, wholeTar } from "../endpoints/build.ts";
import { Events, eventFits } from "../events.ts";
import { Query } from "../http/query.ts";
import { parseAuthHeader } from "./credentials.ts";
import { familiarName, joinReference, matchesReference, splitSearchTerm } from "./names.ts";
import { parseChanges } from "./parse-changes.ts";
import { checkPlatform } from "./platform.ts";
import { openPullLines } from "./pull-progress.ts";

test("familiarName leaves off what is meant anyway", () => {
  assert.deepEqual(
    ["docker.io/library/nginx:1", "docker.io/grafana/loki", "ghcr.io/x/y:z", "docker.io/library/a/b"].map(familiarName),
    ["nginx:1", "grafana/loki", "ghcr.io/x/y:z", "library/a/b"],
  );
  assert.deepEqual(
    [joinReference("a", "1"), joinReference("a", "sha256:x"), joinReference("a:1", "")],
    ["a:1", "a@sha256:x", "a:1"],
  );
  const name = "docker.io/library/nginx:1.27";
  assert.deepEqual(
    ["nginx", "nginx:*", "ngin?", "nginx:2*", "*/nginx"].map((pattern) => matchesReference(pattern, name)),
    [true, true, true, false, false],
  );
});

test("openPullLines tells each layer's story once", () => {
  const lines = openPullLines();
  const layer = (digest: string, state: "exists" | "downloading" | "unpacked", doneBytes = 0) =>
    lines({ type: "layer", digest: `sha256:${digest}`, state, doneBytes, totalBytes: 2000 }).map(
      ({ status, id, progress }) => [status, id, progress].filter((part) => part !== undefined).join(" "),
    );
  assert.deepEqual(
    [
      layer("a", "exists"),
      layer("a", "exists"),
      layer("b", "downloading", 1000),
      layer("b", "unpacked"),
      layer("b", "unpacked"),
    ],
    [
      ["Already exists a"],
      [],
      ["Pulling fs layer b", `Downloading b [${"=".repeat(25)}>${" ".repeat(24)}] 1kB/2kB`],
      ["Download complete b", "Pull complete b"],
      [],
    ],
  );
});

test("parseAuthHeader reads names and passwords, and refuses tokens", () => {
  const header = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  assert.deepEqual(
    [
      parseAuthHeader(undefined),
      parseAuthHeader(header({})),
      parseAuthHeader(header({ username: "me", password: "x:y" })),
      parseAuthHeader(header({ auth: Buffer.from("me:a:b").toString("base64") })),
    ],
    [[], [], [{ username: "me", password: "x:y" }], [{ username: "me", password: "a:b" }]],
  );
  assert.throws(() => parseAuthHeader(header({ identitytoken: "t" })), /identity tokens are not supported/);
  assert.throws(() => parseAuthHeader("AAAA"), /not JSON/);
});

test("parseRegistryConfig knows hosts by any spelling", () => {
  const config = {
    "https://index.docker.io/v1/": { username: "a", password: "b" },
    "r:5000": { username: "c", password: "d" },
  };
  const found = parseRegistryConfig(Buffer.from(JSON.stringify(config)).toString("base64url"));
  assert.deepEqual([...found.keys()], ["docker.io", "r:5000"]);
  assert.equal(parseRegistryConfig(Buffer.from("null").toString("base64url")).size, 0);
});

test("parseChanges reads instructions, with lists and quotes", () => {
  const changes = [
    'CMD ["a", "b c"]',
    "ENTRYPOINT run it",
    'ENV A=1 B="two words"',
    "ENV C three",
    "LABEL x='y z'",
    "EXPOSE 80 53/udp",
    "USER ann",
    "WORKDIR /w",
    'VOLUME ["/v"]',
    "STOPSIGNAL SIGINT",
    "HEALTHCHECK --retries=2 CMD true",
    "ONBUILD COPY . /x",
  ];
  assert.deepEqual(parseChanges(changes), {
    cmd: ["a", "b c"],
    entrypoint: ["/bin/sh", "-c", "run it"],
    env: ["A=1", "B=two words", "C=three"],
    labels: { x: "y z" },
    exposedPorts: ["80/tcp", "53/udp"],
    user: "ann",
    workingDir: "/w",
    volumes: ["/v"],
    stopSignal: "SIGINT",
    healthcheck: { test: ["CMD-SHELL", "true"], retries: 2 },
    onBuild: ["COPY . /x"],
  });
  const base = { env: ["PATH=/bin", "A=0"], labels: { l: "m" }, exposedPorts: ["80/tcp"], cmd: ["sh"] };
  assert.deepEqual(parseChanges(["ENV A=1 B=$PATH", "LABEL x=y", "EXPOSE 81", "ENTRYPOINT []"], base), {
    env: ["PATH=/bin", "A=1", "B=/bin"],
    labels: { l: "m", x: "y" },
    exposedPorts: ["80/tcp", "81/tcp"],
    cmd: ["sh"],
    entrypoint: [],
  });
  assert.throws(() => parseChanges(["RUN x"]), /RUN is not an instruction that changes can have/);
  assert.throws(() => parseChanges(["EXPOSE x"]), /"EXPOSE x": EXPOSE: "x" is no port/);
});

test("parseBuild reads options and refuses what is not acted on", () => {
  const parse = (text: string) => parseBuild(new Query(text), new Map());
  const { credentials: _, ...options } = parse(
    `t=a:1&t=b&buildargs={"X":"1","Y":null}&labels={"l":"m"}&nocache=1&networkmode=none&target=base&platform=linux/arm64&shmsize=1024&extrahosts=a:1.2.3.4,b:5.6.7.8`,
  );
  assert.deepEqual(options, {
    dockerfile: "Dockerfile",
    tags: ["a:1", "b"],
    buildArgs: { X: "1" },
    labels: { l: "m" },
    noCache: true,
    pull: false,
    network: "none",
    extraHosts: ["a:1.2.3.4", "b:5.6.7.8"],
    target: "base",
    shmBytes: 1024,
    platform: { os: "linux", architecture: "arm64" },
  });
  assert.equal(parse("dockerfile=.dockerfile.0123456789abcdef0123").dockerfileShown, "Dockerfile");
  for (const [text, reason] of [
    ["version=2", /DOCKER_BUILDKIT=0/],
    ["remote=http://x", /send the context itself/],
    ["squash=1", /build option squash/],
    ["networkmode=mine", /networkmode/],
  ] as const)
    assert.throws(() => parse(text), reason);
});

test("buildWarnings names what is not applied", () => {
  assert.deepEqual(buildWarnings(new Query("memory=1024&cpushares=0&cpusetcpus=0-1")), [
    "memory=1024 is not applied to builds by Naru",
    "cpusetcpus=0-1 is not applied to builds by Naru",
  ]);
});

test("parsePrune reads ages and sizes, and refuses what the node cannot tell", () => {
  const parse = (text: string) => parsePrune(new Query(text), 100_000);
  assert.deepEqual(
    [parse(""), parse("all=1&keep-storage=5"), parse('filters={"until":["10s"]}'), parse("max-used-space=7")],
    [{ all: false }, { all: true, keepBytes: 5 }, { all: false, usedSinceMs: 90_000 }, { all: false, keepBytes: 7 }],
  );
  assert.throws(() => parse("min-free-space=1"), /reserved-space/);
  assert.throws(() => parse('filters={"id":["x"]}'), /invalid filter 'id'/);
});

test("splitSearchTerm tells a registry from a folder", () => {
  assert.deepEqual(
    ["web", "library/web", "team/web", "docker.io/web", "localhost/web", "r.example:5000/team/web"].map(
      splitSearchTerm,
    ),
    [
      { registry: "", term: "web" },
      { registry: "", term: "web" },
      { registry: "", term: "team/web" },
      { registry: "", term: "web" },
      { registry: "localhost", term: "web" },
      { registry: "r.example:5000", term: "team/web" },
    ],
  );
});

test("checkPlatform refuses what the image is not made for", () => {
  const own = { os: "linux", architecture: "arm64", variant: "v8" };
  const check = (text: string) => checkPlatform(new Query(`platform=${text}`), "web", own);
  for (const text of ["", "linux", "linux/arm64", "linux/arm64/v8", '{"os":"linux","architecture":"arm64"}'])
    check(text);
  assert.throws(() => check("linux/amd64"), /web was found but its platform \(linux\/arm64\) does not match/);
  assert.throws(() => check("linux/a/b/c"), /expected such as linux\/amd64/);
});

test("wholeTar ends a tar that lacks its end, and no compressed one", async () => {
  const collect = async (bytes: Buffer) =>
    Buffer.concat(
      await Array.fromAsync(
        wholeTar(
          (async function* () {
            yield bytes;
          })(),
        ),
      ),
    );
  const sizes = await Promise.all(
    [
      ...[Buffer.alloc(700, 0x41), Buffer.alloc(1024, 0x41), Buffer.alloc(1024, "(group)/page")],
      ...["1f8b01", "28b52ffd", "fd377a585a0000", "425a6839"].map((magic) => Buffer.from(magic, "hex")),
    ].map(async (bytes) => (await collect(bytes)).length),
  );
  assert.deepEqual(sizes, [1024 + 1024, 1024 + 1024, 1024 + 1024, 3, 4, 7, 4]);
});

test("eventFits knows events by type, action, name, beginning of an id and label", () => {
  const events = new Events(virtualClock());
  events.emit("container", "exec_start: sh -c x", "abcdef", { name: "web", image: "nginx", tier: "front" });
  events.emit("container", "die", "abcdef", { name: "web" });
  const [first, second] = events.since(0);
  assert.ok(first !== undefined && second !== undefined && second.timeNano > first.timeNano);
  const fits = (filters: Readonly<Record<string, readonly string[]>>) =>
    eventFits(first, new Map(Object.entries(filters)));
  assert.deepEqual(
    [
      fits({}),
      fits({ type: ["image"] }),
      fits({ event: ["exec_start"] }),
      fits({ container: ["web"] }),
      fits({ container: ["abcd"] }),
      fits({ image: ["nginx"] }),
      fits({ label: ["tier=front"] }),
      fits({ label: ["tier=back"] }),
      fits({ node: ["x"] }),
    ],
    [true, false, true, true, true, true, true, false, false],
  );
});
