// Images by the docker command: build, run, name, save and load, commit, export and import, push and pull.
import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeTestFolder } from "../folders.ts";
import { freePort, startRegistry, type TestRegistry } from "../registry.ts";
import { runProgram } from "./cluster.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

const subnet = `10.${200 + (process.pid % 50)}.${process.pid % 250}`;
let engine: DockerEngine;
let registry: TestRegistry;
const folder = makeTestFolder("docker-images");
const context = join(folder, "context");
before(async () => {
  const port = await freePort();
  engine = await startDocker(["--subnet", `${subnet}.0/24`, "--insecure-registry", `${subnet}.1:${port}`]);
  registry = await startRegistry({ address: `${subnet}.1`, port });
  mkdirSync(context);
  writeFileSync(join(context, "file"), "content\n");
  writeFileSync(
    join(context, "Dockerfile"),
    'FROM busybox AS base\nARG WHAT=world\nENV GREETING=hello\nRUN echo "$GREETING $WHAT" > /greeting\nFROM base\nCOPY file /file\nHEALTHCHECK --interval=5s CMD true\nCMD ["cat", "/greeting", "/file"]\n',
  );
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

test("build makes what run runs, uses its cache, takes arguments and targets, and a Dockerfile from elsewhere", async () => {
  const first = await engine.ok(["build", "-t", "made:1", "--build-arg", "WHAT=you", context]);
  const ran = await engine.ok(["run", "--rm", "made:1"]);
  const again = await engine.ok(["build", "-t", "made:again", "--build-arg", "WHAT=you", context]);
  const base = await engine.ok(["build", "-q", "--target", "base", "--label", "kind=base", context]);
  writeFileSync(join(folder, "Other"), "FROM busybox\nRUN echo other > /other\nCMD cat /other\n");
  await engine.ok(["build", "-t", "other", "-f", join(folder, "Other"), context]);
  deepEqual(
    {
      told: /Successfully tagged made:1/.test(first),
      ran,
      cached: again.match(/Using cache/g)?.length,
      label: await engine.ok(["inspect", "-f", "{{.Config.Labels.kind}}", base]),
      other: await engine.ok(["run", "--rm", "other"]),
      health: await engine.ok(["inspect", "-f", "{{.Config.Healthcheck.Interval}}", "made:1"]),
    },
    { told: true, ran: "hello you\ncontent", cached: 2, label: "base", other: "other", health: "5s" },
  );
});

test("a build that fails says where, with the command's output and exit code", async () => {
  writeFileSync(join(folder, "Bad"), "FROM busybox\nRUN echo so far; exit 3\n");
  const failed = await engine.docker(["build", "-f", join(folder, "Bad"), context]);
  deepEqual(
    [failed.code, /so far/.test(failed.stdout), /:2:1: .*|exit(?:ed with)? (?:code )?3/.test(failed.stderr)],
    [3, true, true],
  );
  writeFileSync(join(folder, "Wrong"), "FROM busybox\nFLY away\n");
  match((await engine.docker(["build", "-f", join(folder, "Wrong"), context])).stderr, /:2:1: .*FLY/);
});

test("names: tag, several of them, images, rmi, and images in use", async () => {
  await engine.ok(["tag", "made:1", "example.org/team/made:x"]);
  const listed = await engine.ok([
    "images",
    "--format",
    "{{.Repository}}:{{.Tag}}",
    "--filter",
    "reference=example.org/*/*",
  ]);
  await engine.ok(["create", "--name", "user", "made:1"]);
  const removed = await engine.ok(["rmi", "example.org/team/made:x"]);
  const inUse = await engine.docker(["rmi", "made:again", "made:1"]);
  const absent = await engine.docker(["rmi", "never:seen"]);
  await engine.ok(["rm", "user"]);
  deepEqual(
    [
      listed,
      removed,
      /conflict: .*in use|is used by container/.test(inUse.stderr),
      absent.stderr.trim().replace(/^Error: /, "Error response from daemon: "),
    ],
    [
      "example.org/team/made:x",
      "Untagged: example.org/team/made:x",
      true,
      "Error response from daemon: No such image: never:seen",
    ],
  );
});

test("save and load, commit, diff, export and import keep what they should", async () => {
  await engine.ok(["build", "-t", "made:2", context]);
  const file = join(folder, "saved.tar");
  const id = await engine.ok(["inspect", "-f", "{{.Id}}", "made:2"]);
  await engine.ok(["save", "-o", file, "made:2"]);
  await engine.ok(["rmi", "made:2"]);
  equal(await engine.ok(["load", "-i", file]), "Loaded image: made:2");
  equal(await engine.ok(["inspect", "-f", "{{.Id}}", "made:2"]), id);
  await engine.ok([
    "run",
    "--name",
    "changed",
    "made:2",
    "sh",
    "-c",
    "echo new > /new; rm /file; echo more >> /greeting",
  ]);
  const diff = await engine.ok(["diff", "changed"]);
  await engine.ok([
    "commit",
    "-m",
    "by hand",
    "-c",
    "CMD cat /new",
    "-c",
    "ENV MORE=$GREETING",
    "changed",
    "committed",
  ]);
  const layers = Number(await engine.ok(["inspect", "-f", "{{len .RootFS.Layers}}", "committed"]));
  await engine.ok(["export", "-o", join(folder, "root.tar"), "changed"]);
  await engine.ok(["import", "-c", "CMD cat /greeting", join(folder, "root.tar"), "imported"]);
  deepEqual(
    {
      diff: diff.split("\n").toSorted(),
      committed: await engine.ok(["run", "--rm", "committed"]),
      env: await engine.ok(["inspect", "-f", "{{.Config.Env}}", "committed"]),
      gone: (await engine.docker(["run", "--rm", "committed", "cat", "/file"])).code,
      layers,
      comment: (await engine.ok(["history", "--format", "{{.Comment}}", "committed"])).split("\n")[0],
      imported: await engine.ok(["run", "--rm", "imported"]),
      flat: await engine.ok(["inspect", "-f", "{{len .RootFS.Layers}}", "imported"]),
    },
    {
      diff: ["A /new", "C /greeting", "D /file"],
      committed: "new",
      env: "[PATH=/bin GREETING=hello MORE=hello]",
      gone: 1,
      layers: 4,
      comment: "by hand",
      imported: "hello world\nmore",
      flat: "1",
    },
  );
  await engine.ok(["rm", "changed"]);
});

test("push sends layers once, pull brings them back, by tag and by digest", async () => {
  const name = `${registry.host}/team/made`;
  await engine.ok(["tag", "made:2", `${name}:2`]);
  const pushed = await engine.ok(["push", `${name}:2`]);
  const again = await engine.ok(["push", `${name}:2`]);
  const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1] ?? "";
  await engine.ok(["rmi", "-f", `${name}:2`, "made:2"]);
  const pulled = await engine.ok(["pull", `${name}:2`]);
  const upToDate = await engine.ok(["pull", `${name}:2`]);
  const byDigest = await engine.ok(["pull", "-q", `${name}@${digest}`]);
  const absent = await engine.docker(["pull", `${name}:absent`]);
  deepEqual(
    {
      again: again.match(/Layer already exists/g)?.length,
      pulled: /Status: Downloaded newer image/.test(pulled),
      upToDate: /Status: Image is up to date/.test(upToDate),
      byDigest,
      absent: [absent.code, /absent/.test(absent.stderr)],
      ran: await engine.ok(["run", "--rm", `${name}:2`]),
    },
    {
      again: 3,
      pulled: true,
      upToDate: true,
      byDigest: `${name}@${digest}`,
      absent: [1, true],
      ran: "hello world\ncontent",
    },
  );
  notEqual(digest, "");
});

test("search and manifest inspect ask a registry without a pull", async () => {
  const found = await engine.ok(["search", "--format", "{{.Name}} {{.StarCount}}", `${registry.host}/made`]);
  const starred = await engine.ok(["search", "--filter", "stars=1", "--format", "{{.Name}}", `${registry.host}/made`]);
  const looked = await askEngine(`/distribution/${registry.host}/team/made:2/json`);
  const { Descriptor, Platforms } = JSON.parse(looked) as {
    readonly Descriptor: { readonly mediaType: string };
    readonly Platforms: readonly { readonly os: string }[];
  };
  const absent = await askEngine(`/distribution/${registry.host}/team/absent/json`);
  deepEqual(
    [found, starred, Descriptor.mediaType, Platforms.map(({ os }) => os)],
    [`${registry.host}/team/made 0`, "", "application/vnd.oci.image.manifest.v1+json", ["linux"]],
  );
  match(absent, /team\/absent/);
});

async function askEngine(path: string): Promise<string> {
  const { stdout } = await runProgram("curl", ["-s", "--unix-socket", engine.socketPath, `http://docker${path}`], {});
  return stdout;
}

test("run pulls what is not here, and login refuses nobody's registry", async () => {
  const name = `${registry.host}/team/made:2`;
  await engine.ok(["rmi", "-f", name]);
  const ran = await engine.docker(["run", "--rm", name]);
  deepEqual([ran.code, ran.stdout, /Unable to find image/.test(ran.stderr)], [0, "hello world\ncontent\n", true]);
  const login = await engine.docker(["login", "-u", "me", "--password-stdin", "127.0.0.1:1"], { input: "secret" });
  notEqual(login.code, 0);
});

test("system df, prune and info count what is here", async () => {
  const info = await engine.ok(["info", "--format", "{{.OSType}} {{.Containers}} {{gt .Images 1}} {{.ServerVersion}}"]);
  const df = await engine.ok(["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]);
  await engine.ok(["system", "prune", "-af"]);
  match(info, /^linux 0 true \d+\.\d+\.\d+/);
  match(df, /^Images \d+\nContainers 0\nLocal Volumes 0\nBuild Cache \d+$/);
  equal(await engine.ok(["images", "-q"]), "");
});
