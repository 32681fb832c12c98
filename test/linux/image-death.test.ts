// kill -9 in the middle of a pull, a build, a commit, a push: nothing half-made is seen afterwards, and the next try goes on from what was
// finished.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { realRandom } from "../../lib/random.ts";
import type { BuildEvent } from "../../node-agent/build/build.ts";
import { openBuilder } from "../../node-agent/build/builder.ts";
import { clearLeftBuilds } from "../../node-agent/build/left-builds.ts";
import { openImages } from "../../node-agent/images/open-images.ts";
import { gzipLayer, makeImage, makeTar, pushImage, startRegistry, type TestRegistry } from "../registry.ts";
import { debianProgram } from "../tools.ts";
import type { ImageWork } from "./image-process.ts";
import { openRig, type Rig } from "./rig.ts";

const program = new URL("./image-process.ts", import.meta.url).pathname;
const anonymous = { credentials: [] };
let rig: Rig;
let registry: TestRegistry;
let next = 0;
before(async () => {
  execFileSync("sh", [new URL("../../node-agent/images/build.sh", import.meta.url).pathname]);
  rig = await openRig();
  registry = await startRegistry();
});
after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
});

const open = (dir: string) => openImages({ dir, clock: realClock, random: realRandom(), log: silentLogger });
const newDirectory = () => join(rig.directory, `death-${next++}`);

/** Lets a process work and kills it `afterMs` after it printed this; tells whether it had ended before. */
async function killAt(
  work: ImageWork["work"],
  { dir, line, afterMs = 0 }: { readonly dir: string; readonly line: RegExp; readonly afterMs?: number },
): Promise<string> {
  await rig.runtime[Symbol.asyncDispose]();
  const { clock: _, log: __, ...runtime } = rig.options;
  const argument: ImageWork = { imagesDir: dir, runtime, work };
  const child = spawn(process.execPath, [program, JSON.stringify(argument)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (part: Buffer) => {
    const seen = line.test(text);
    text += part.toString();
    if (!seen && line.test(text)) setTimeout(() => child.kill("SIGKILL"), afterMs);
  });
  const [code, signal] = await once(child, "close");
  await rig.reopen();
  return signal === "SIGKILL" ? "killed" : `ended ${code}`;
}

async function imageOf(...sizes: readonly number[]) {
  const layers = sizes.map(async (size, i) =>
    gzipLayer(await makeTar([{ name: `file-${i}`, content: randomBytes(size) }])),
  );
  return makeImage(await Promise.all(layers));
}

test("a pull that is killed leaves no image, and the next one has it", async () => {
  const dir = newDirectory();
  await pushImage(registry, "pull", { image: await imageOf(1000, 40_000_000), tag: "1" });
  const reference = `${registry.host}/pull:1`;
  const ended = await killAt({ do: "pull", reference }, { dir, line: /"doneBytes":[1-9]/ });
  const partial = readdirSync(join(dir, "partial")).length;
  await using images = await open(dir);
  const seen = [await images.list(), readdirSync(join(dir, "layers")), readdirSync(join(dir, "tmp"))];
  await images.pull(reference, anonymous);
  assert.deepEqual(
    [ended, partial > 0, seen, (await images.list()).length, readdirSync(join(dir, "partial"))],
    ["killed", true, [[], [], []], 1, []],
  );
});

test("a push that is killed can be done again", async () => {
  const dir = newDirectory();
  await pushImage(registry, "push", { image: await imageOf(1000, 20_000_000), tag: "1" });
  const target = `${registry.host}/push-again:1`;
  const first = await open(dir);
  // Without a repository to mount from, so that bytes have to move.
  const image = await first.pull(`${registry.host}/push:1`, anonymous);
  await first.tag(image.id, target);
  await first[Symbol.asyncDispose]();
  const records = join(dir, "images.json");
  writeFileSync(records, readFileSync(records, "utf8").replaceAll(/"repositories":\[[^\]]*\]/g, '"repositories":[]'));
  const ended = await killAt({ do: "push", reference: target }, { dir, line: /"uploading".*"doneBytes":[1-9]/ });
  const half = await fetch(`http://${registry.host}/v2/push-again/manifests/1`);
  await half.body?.cancel();
  await using images = await open(dir);
  const { digest } = await images.push(target, anonymous);
  assert.deepEqual([ended, half.status, `${registry.host}/push@${digest}`], ["killed", 404, image.digests[0]]);
});

test("a commit that is killed leaves no image and no layer", async () => {
  const dir = newDirectory();
  await pushImage(registry, "commit", { image: await imageOf(1000), tag: "1" });
  const first = await open(dir);
  const image = await first.pull(`${registry.host}/commit:1`, anonymous);
  await first.prepareLayer("c", image, { durable: true });
  const upper = join(dir, "containers/c/upper");
  for (let n = 0; n < 3000; n++) writeFileSync(join(upper, `file-${n}`), randomBytes(100));
  await first[Symbol.asyncDispose]();
  const ended = await killAt({ do: "commit", containerId: "c", tag: "made:1" }, { dir, line: /open/, afterMs: 20 });
  await using images = await open(dir);
  const seen = [
    (await images.list()).map(({ id }) => id),
    readdirSync(join(dir, "layers")).length,
    readdirSync(join(dir, "tmp")),
  ];
  const made = await images.commit("c", { tag: "made:1" });
  assert.deepEqual([ended, seen, (await images.inspect(made.id)).layers.length], ["killed", [[image.id], 1, []], 2]);
});

for (const [where, line] of [
  ["in a step", /step two/],
  ["between steps", /"cached"|RUN echo one.*"done"/],
] as const) {
  test(`a build that is killed ${where} leaves no image and no container, and goes on from the steps that were done`, async () => {
    const dir = newDirectory();
    const context = newDirectory();
    mkdirSync(context);
    const busybox = readFileSync(await debianProgram("busybox-static", "bin/busybox"));
    writeFileSync(join(context, "busybox"), busybox, { mode: 0o755 });
    writeFileSync(
      join(context, "Dockerfile"),
      `FROM scratch
COPY busybox /bin/sh
RUN echo one > /one
RUN echo step two; i=0; while [ ! -e /goes-on ] && [ $i -lt 300000 ]; do i=$((i+1)); done; echo end`,
    );
    // The step's own time is enough for the notes of those before it to reach the disk.
    const ended = await killAt({ do: "build", context, tag: "made:1" }, { dir, line, afterMs: 300 });
    const running = (await rig.runtime.list()).length;
    await using images = await open(dir);
    const seen = [await images.list(), readdirSync(join(dir, "tmp"))];
    await clearLeftBuilds({ images, runtime: rig.runtime });
    const builder = await openBuilder({ images, runtime: rig.runtime, clock: realClock });
    const left = await rig.runtime.list();
    const states: string[] = [];
    const onEvent = (event: BuildEvent) => {
      if (event.type === "step" && event.state !== "started") states.push(event.state);
    };
    const { image } = await builder.build({ type: "folder", path: context }, { tags: ["made:1"] }, onEvent);
    assert.deepEqual(
      [ended, running, seen, left, states.slice(0, 3), image.tags],
      ["killed", 1, [[], []], [], ["done", "cached", "cached"], ["docker.io/library/made:1"]],
    );
  });
}
