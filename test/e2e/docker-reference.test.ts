// docs/reference/docker.md is true: each of its lines is typed again, and no command or flag of docker's help is missing there.
import { deepEqual, equal } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { goArchitecture } from "../../node-agent/docker/machine.ts";
import { makeTestFolder } from "../folders.ts";
import { freePort, startRegistry, type TestRegistry } from "../registry.ts";
import { runProgram } from "./cluster.ts";
import { type DockerEngine, provideDocker, startDocker } from "./docker-engine.ts";
import { normalize, type Row, readHelp, readPage, writePage } from "./docker-reference.ts";

const path = new URL("../../docs/reference/docker.md", import.meta.url).pathname;
const page = readFileSync(path, "utf8");
const sections = readPage(page);
const subnet = `10.${200 + (process.pid % 50)}.${process.pid % 250}`;
const folder = makeTestFolder("docker-reference");
const pageVersion = 28;
await provideDocker();
const version = Number(/version (\d+)/.exec(execFileSync("docker", ["--version"], { encoding: "utf8" }))?.[1]);
const skip = version < pageVersion && `the page is docker ${pageVersion}'s, this machine's docker is ${version}`;
let engine: DockerEngine;
let registry: TestRegistry;
let names: Readonly<Record<string, string>>;

before(async () => {
  if (skip !== false) return;
  const port = await freePort();
  engine = await startDocker(["--subnet", `${subnet}.0/24`, "--insecure-registry", `${subnet}.1:${port}`]);
  registry = await startRegistry({ address: `${subnet}.1`, port });
  names = {
    $REGISTRY: registry.host,
    $PWD: folder,
    $DOCKER_HOST: `unix://${engine.socketPath}`,
    $ARCH: goArchitecture[process.arch] ?? process.arch,
  };
  mkdirSync(join(folder, "context"));
  const files = {
    env: "FROM_FILE=yes\n",
    labels: "from=file\n",
    "compose.yaml": "services: {web: {image: busybox}}\n",
    "context/Dockerfile":
      'ARG BASE=busybox\nFROM $BASE AS base\nARG RUN=true\nRUN eval "$RUN"\nFROM base\nCMD ["true"]\n',
    "context/Other": 'FROM busybox\nCMD ["echo", "other"]\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const line of [
    "network create --ipv6 --subnet 10.66.0.0/24 --subnet fd00:66::/64 own",
    "volume create kept",
    "run -d --name runs -v kept:/data -v kept:/kept -p 18300:80 busybox sleep 10000",
    "create --name idle busybox echo hello",
    "create --name idle2 --network own busybox echo hello",
    "run --name talks busybox seq 3",
    "create -i --name reads busybox cat",
    "run -d --name limited -m 32m busybox sleep 10000",
    `tag busybox ${registry.host}/team/web`,
    `push -q ${registry.host}/team/web`,
  ])
    await engine.ok(line.split(" "));
});
after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
});

async function type({ typed }: Row): Promise<string> {
  const variables = Object.fromEntries(Object.entries(names).map(([name, value]) => [name.slice(1), value]));
  const env = { ...variables, PATH: process.env["PATH"], HOME: folder, DOCKER_CONFIG: join(folder, "config") };
  const { code, stdout } = await runProgram("sh", ["-c", `cd ${folder}; { ${typed}; } 2>&1`], {
    env,
    timeoutMs: 60_000,
  });
  const { $ARCH = "", ...places } = names;
  const output = normalize(stdout, places).replaceAll(`linux/${$ARCH}`, "linux/$ARCH");
  return code === 0 ? output : `exit ${code}: ${output}`;
}

const rewritten = new Map<string, string>();

for (const { command, rows } of sections)
  for (const row of rows.filter(({ typed }) => !typed.startsWith("see ")))
    test(`docker ${command} ${row.flag} prints what the page says`, { skip }, async () => {
      const printed = await type(row);
      if (process.env["REWRITE"] === undefined) equal(printed, row.printed);
      else rewritten.set(row.typed, printed);
    });

test("the page is written anew when that is asked for", () => {
  if (process.env["REWRITE"] !== undefined) writeFileSync(path, writePage(page, rewritten));
});

/** Where a command is listed under another name. */
const aliases: Readonly<Record<string, string>> = {
  "container ls": "ps",
  "container create": "run",
  create: "run",
  "image ls": "images",
  "image rm": "rmi",
  "builder build": "build",
  "system info": "info",
  "system events": "events",
};
/** Flags that another command's line shows. */
const shared = ["--help", "--format"];

test("no command and no flag of docker's help is missing on the page", { skip }, async () => {
  const help = async (words: readonly string[]) => readHelp((await engine.docker([...words, "--help"])).stdout);
  const missing: string[] = [];
  const look = async (words: readonly string[]): Promise<void> => {
    const { flags, commands } = await help(words);
    const name = words.join(" ");
    if (commands.length > 0 && words[0] === "trust") return;
    const listed = sections.find(({ command }) => command === name);
    if (listed !== undefined && commands.length > 0)
      missing.push(...lacking(commands, listed.rows).map((command) => `${name} ${command}`));
    else if (commands.length > 0) for (const command of commands) await look([...words, command]);
    else {
      const own = aliases[name] ?? (sections.some(({ command }) => command === name) ? name : withoutGroup(name));
      const section = sections.find(({ command }) => command === own);
      if (section === undefined) missing.push(name);
      else
        missing.push(
          ...lacking(flags, section.rows)
            .filter((flag) => !shared.includes(flag))
            .map((flag) => `${name} ${flag}`),
        );
    }
  };
  await look([]);
  deepEqual(missing, []);
});

/** "container rm" is "rm". */
function withoutGroup(name: string): string {
  return name.replace(/^(?:container|image) /, "");
}

function lacking(wanted: readonly string[], rows: readonly Row[]): readonly string[] {
  return wanted.filter((one) => !rows.some(({ flag }) => flag === one));
}
