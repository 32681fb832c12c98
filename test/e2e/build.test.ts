// What a user builds with `naru build`: it runs in a pod, goes to a registry, comes back, and a failure says where it is.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeTestFolder } from "../folders.ts";
import { freePort, startRegistry, type TestRegistry } from "../registry.ts";
import { debianProgram } from "../tools.ts";
import { naruPath, startCluster, type TestCluster } from "./cluster.ts";
import { pod } from "./manifests.ts";
import { done, until, untilReady } from "./questions.ts";

const subnet = `10.${200 + (process.pid % 50)}.${(process.pid + 7) % 250}`;
const address = `${subnet}.1`;
const folder = makeTestFolder("build");
let cluster: TestCluster;
let registry: TestRegistry;

before(async () => {
  const port = await freePort();
  cluster = await startCluster({
    nodes: 1,
    args: ["--subnet", `${subnet}.0/24`, "--insecure-registry", `${address}:${port}`],
  });
  registry = await startRegistry({ address, port });
  mkdirSync(join(folder, "app"));
  copyFileSync(await debianProgram("busybox-static", "bin/busybox"), join(folder, "app/busybox"));
  writeFileSync(join(folder, "app/index.html"), "built\n");
  writeFileSync(join(folder, "app/.dockerignore"), "ignored\n");
  writeFileSync(join(folder, "app/ignored"), "x");
  writeFileSync(
    join(folder, "app/Dockerfile"),
    `FROM scratch AS base
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM base
ARG who=nobody
COPY . /www/
RUN --mount=type=secret,id=word echo "$who $(cat /run/secrets/word | wc -c)" > /www/who
CMD ["/bin/sleep", "1000"]
`,
  );
});
after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const app = join(folder, "app");

test("an image that naru build made runs in a pod", async () => {
  writeFileSync(join(folder, "word"), "secret");
  const args = [
    "build",
    "-t",
    "web:1",
    "--build-arg",
    "who=ann",
    "--secret",
    `id=word,src=${join(folder, "word")}`,
    app,
  ];
  const first = await cluster.naru(args);
  assert.match(done(first), /^docker\.io\/library\/web:1 \(0 of 6 steps known, on node-1\)$/m);
  assert.match(done(await cluster.naru(args)), /\(4 of 6 steps known, on node-1\)$/m);
  done(
    await cluster.naru(["apply", "-f", "-"], {
      input: pod({ name: "web", args: ["/bin/sleep", "1000"], image: "docker.io/library/web:1" }),
    }),
  );
  await untilReady(cluster, "app=web", { count: 1 });
  const files = done(await cluster.naru(["exec", "web", "--", "/bin/sh", "-c", "cat /www/who; ls /www"]));
  assert.equal(files, "ann 6\nDockerfile\nbusybox\nindex.html\nwho\n");
});

test("a built image goes to a registry and comes back with its digest", async () => {
  const name = `${address}:${registry.host.split(":")[1]}/team/web:1`;
  done(await cluster.naru(["image", "tag", "web:1", name]));
  const pushed = await cluster.naru(["image", "push", name]);
  const [digest] = /sha256:\w{64}/.exec(pushed.stdout + pushed.stderr) ?? [];
  const again = await cluster.naru(["image", "push", name]);
  const answer = await fetch(`http://${registry.host}/v2/team/web/manifests/1`, {
    headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
  });
  assert.deepEqual(
    [answer.headers.get("docker-content-digest"), /already there/.test(again.stdout + again.stderr)],
    [digest, true],
  );
});

test("--push brings every name of a new image, and its cache, to the registry", async () => {
  const host = `${address}:${registry.host.split(":")[1]}`;
  writeFileSync(join(folder, "Pushed"), "FROM scratch\nCOPY index.html /pushed\n");
  const words = ["-q", "--push", "-f", join(folder, "Pushed"), "--cache-to", `${host}/team/pushed:cache`];
  const names = ["1", "2"].flatMap((tag) => ["-t", `${host}/team/pushed:${tag}`]);
  // A name that the image has already is pushed by nobody.
  done(await cluster.naru(["build", "-q", "-f", join(folder, "Pushed"), "-t", "nowhere.invalid/pushed", app]));
  const id = done(await cluster.naru(["build", ...words, ...names, app])).trim();
  const tags = (await (await fetch(`http://${registry.host}/v2/team/pushed/tags/list`)).json()) as { tags: string[] };
  assert.deepEqual([/^sha256:\w{64}$/.test(id), tags.tags.sort()], [true, ["1", "2", "cache"]]);
});

test("the image is written as files, and as an archive that tar and naru read", async () => {
  const out = join(folder, "out");
  const archive = join(folder, "web.tar");
  done(await cluster.naru(["build", "-o", out, "-o", `type=docker,dest=${archive}`, "-t", "web:2", app]));
  const listed = execFileSync("tar", ["tf", archive], { encoding: "utf8" });
  assert.deepEqual(
    [
      readFileSync(join(out, "www/index.html"), "utf8"),
      existsSync(join(out, "www/ignored")),
      /^manifest\.json$/m.test(listed),
    ],
    ["built\n", false, true],
  );
  const imported = await cluster.naru(["image", "import", archive]);
  assert.match(imported.stderr, /imported docker\.io\/library\/web:2/);
});

test("a Dockerfile that is wrong, and a step that fails, are told with their place", async () => {
  const wrong = await cluster.naru(["build", "-"], { input: "FROM scratch\nCPOY a b\n" });
  assert.match(wrong.stderr, /Dockerfile:2:1: unknown instruction CPOY \(did you mean COPY\?\)/);
  const failing = await cluster.naru(["build", "--progress", "plain", "-"], {
    input: "FROM web:1\nRUN echo before; exit 7\n",
  });
  assert.match(failing.stderr, /before[\s\S]*exit code: 7[\s\S]*>>> RUN echo before; exit 7/);
  assert.notEqual(failing.code, 0);
});

test("a Dockerfile comes from standard input beside a folder, a context as a tar of any compression", async () => {
  const input = "FROM web:1\nCOPY index.html /copied\nRUN cat /copied\n";
  done(await cluster.naru(["build", "-f", "-", app], { input }));
  writeFileSync(join(app, "Small"), "FROM scratch\nCOPY index.html /\n");
  const tar = execFileSync("tar", ["-c", "-C", app, "Small", "index.html"]);
  const programs = [
    await debianProgram("bzip2", "bin/bzip2"),
    await debianProgram("xz-utils", "usr/bin/xz"),
    ...["gzip", "cat"],
  ];
  for (const program of programs) {
    const input = execFileSync(program, { input: tar });
    done(await cluster.naru(["build", "-f", "Small", "-"], { input }));
  }
});

test("Ctrl-C ends naru build, and the step that it was at", async () => {
  // No other process of this machine sleeps as long.
  const seconds = String(1_000_000 + process.pid);
  writeFileSync(join(folder, "Endless"), `FROM web:1\nRUN sleep ${seconds}\n`);
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
  const build = spawn(naruPath, ["build", "-f", join(folder, "Endless"), app], { env, stdio: "ignore" });
  const sleepers = () =>
    readdirSync("/proc").filter((name) => {
      const words = /^\d+$/.test(name) ? readOptional(`/proc/${name}/cmdline`) : undefined;
      return words?.includes(seconds) === true && words.includes("sleep");
    });
  await until("its step", async () => (sleepers().length > 0 ? true : undefined));
  build.kill("SIGINT");
  const [code] = await once(build, "exit");
  await until("no step", async () => (sleepers().length === 0 ? true : undefined));
  assert.equal(code, 130);
});

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
