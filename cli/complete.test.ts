import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { commands } from "./commands.ts";
import { completeWords } from "./complete.ts";

const names: Readonly<Record<string, readonly string[]>> = {
  "pods default": ["web-1", "web-2", "db-1"],
  "pods shop": ["cart-1"],
  "deployment default": ["web", "db"],
  "namespaces default": ["default", "shop"],
  "nodes default": ["node-1"],
};
const sources = {
  commands: commands.filter(({ hidden }) => hidden !== true),
  kinds: ["pods", "deployments", "services"],
  namesOf: async (kind: string, namespace = "default") => names[`${kind} ${namespace}`] ?? [],
};
const complete = (line: string) => completeWords(line.split(" ").slice(1), sources);

test("completeWords offers commands, options, kinds and names by what was typed", async () => {
  const lines = [
    "naru de",
    "naru help sc",
    "naru get po",
    "naru get pods w",
    "naru get pods web-1 d",
    "naru get deployment/w",
    "naru get pods -n shop c",
    "naru get pods --namespace=shop c",
    "naru get pods -n s",
    "naru get pods -o y",
    "naru get pods --fi",
    "naru logs -f we",
    "naru logs deployment/d",
    "naru scale d",
    "naru rollout st",
    "naru rollout status deployment/w",
    "naru image ls --node n",
    "naru apply -f ",
    "naru exec web-1 -- l",
    "naru nonsense x",
  ];
  assert.deepEqual(Object.fromEntries(await Promise.all(lines.map(async (line) => [line, await complete(line)]))), {
    "naru de": ["describe", "delete", "debug"],
    "naru help sc": ["scale"],
    "naru get po": ["pods"],
    "naru get pods w": ["web-1", "web-2"],
    "naru get pods web-1 d": ["db-1"],
    "naru get deployment/w": ["deployment/web"],
    "naru get pods -n shop c": ["cart-1"],
    "naru get pods --namespace=shop c": ["cart-1"],
    "naru get pods -n s": ["shop"],
    "naru get pods -o y": ["yaml"],
    "naru get pods --fi": ["--field-selector"],
    "naru logs -f we": ["web-1", "web-2"],
    "naru logs deployment/d": ["deployment/db"],
    "naru scale d": ["deployment/"],
    "naru rollout st": ["status"],
    "naru rollout status deployment/w": ["deployment/web"],
    "naru image ls --node n": ["node-1"],
    "naru apply -f ": [],
    "naru exec web-1 -- l": [],
    "naru nonsense x": [],
  });
});

test("completion's script for bash hands the words up to the cursor on and takes the answer's lines", async () => {
  const { stdout } = await promisify(execFile)("bash", [
    "-c",
    `naru() { printf '%s\\n' "$@"; }
     source <("${process.execPath}" --disable-warning=ExperimentalWarning "$0" completion bash)
     COMP_WORDS=(naru get pods we -o wide) COMP_CWORD=3
     _naru
     printf '%s\\n' "\${COMPREPLY[@]}"`,
    new URL("./main.ts", import.meta.url).pathname,
  ]);
  assert.deepEqual(stdout.trim().split("\n"), ["complete", "--", "get", "pods", "we"]);
});
