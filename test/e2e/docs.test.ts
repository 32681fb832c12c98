// What README and guides tell users to type is typed here, as it stands, on a running cluster.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { newKubectl } from "../kubectl.ts";
import { runProgram, startCluster, type TestCluster } from "./cluster.ts";
import { provideDocker } from "./docker-engine.ts";

const root = new URL("../../", import.meta.url).pathname;
/** Pages whose ```sh blocks need nothing but `npm start`; README's other blocks start or test Naru itself. */
const pages: readonly (readonly [page: string, skip: (block: string) => boolean])[] = [
  ["README.md", (block) => !block.includes("web.yaml")],
  ["docs/guides/first-service.md", () => false],
  ["docs/guides/scaling.md", () => false],
  ["docs/guides/updates.md", () => false],
  ["docs/guides/services.md", () => false],
  ["docs/guides/volumes.md", () => false],
  ["docs/guides/monitoring.md", () => false],
  ["docs/guides/compose.md", () => false],
  ["docs/guides/looking-inside.md", () => false],
  ["docs/guides/images.md", () => false],
  ["docs/guides/docker.md", () => false],
  ["docs/guides/runtime-classes.md", () => false],
];

test("the commands of README and guides work as they stand", async (t) => {
  await provideDocker();
  await using cluster = await startCluster({ args: ["--demo"] });
  const folder = join(cluster.place.dataDir, "user");
  mkdirSync(join(folder, "path"), { recursive: true });
  symlinkSync(join(root, "bin"), join(folder, "bin"));
  symlinkSync(await newKubectl(), join(folder, "path/kubectl"));
  symlinkSync(join(root, "bin/naru"), join(folder, "path/naru"));
  for (const [page, skip] of pages) {
    await t.test(page, async () => {
      const blocks = blocksOf(page).filter((block) => !skip(block));
      assert.ok(blocks.length > 0, `${page} has commands`);
      const output = await type(cluster, folder, blocks.join("\n"));
      assert.equal(output.code, 0, `${output.stdout}\n${output.stderr}`);
      assert.doesNotMatch(output.stderr, /Warning:/);
    });
  }
});

function blocksOf(page: string): readonly string[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
}

/** In one shell that ends at the first failure; what a user would end with Ctrl-C is ended after a moment. */
function type(cluster: TestCluster, folder: string, block: string) {
  const script = block
    .replaceAll("/var/lib/naru/kubeconfig", cluster.kubeconfig)
    .replaceAll("/run/naru/naru/", `${cluster.place.runDir}/`)
    .replaceAll(/^(.*?)\s*# Ctrl-C ends it$/gm, 'timeout --preserve-status -s INT 2 $1 || [ "$?" -eq 130 ]');
  const path = join(folder, "commands.sh");
  writeFileSync(path, script);
  return runProgram(
    "env",
    [
      "-C",
      folder,
      `PATH=${folder}/path:${process.env["PATH"]}`,
      "bash",
      "-O",
      "expand_aliases",
      "-euxo",
      "pipefail",
      path,
    ],
    { timeoutMs: 180_000, env: { ...process.env, HOME: folder } },
  );
}
