// naru build: an image from a Dockerfile, made on a node.

import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { realClock } from "../../lib/clock.ts";
import type { BuildOptions } from "../../node-agent/build/build.ts";
import { lintDockerfile } from "../../node-agent/build/dockerfile/lint.ts";
import { parseDockerfile } from "../../node-agent/build/dockerfile/parse.ts";
import { formatReference, parseReference } from "../../node-agent/images/reference.ts";
import type { ImageCommand } from "../../node-agent/streams/image-commands.ts";
import { type Command, connectionOptions, type Invocation, UsageError } from "../command.ts";
import { connect } from "../connection.ts";
import { nodesFor, openCommand } from "../images/ask-node.ts";
import { readContext } from "../images/build-context.ts";
import { buildPrinter } from "../images/build-progress.ts";
import { readPlatformOption } from "../images/platform-option.ts";
import { pushImage } from "../images/push-image.ts";
import { receiveFiles } from "../images/receive-files.ts";
import { allLogins } from "../images/registry-logins.ts";
import { runBuild } from "../images/run-build.ts";

export const build: Command = {
  name: "build",
  summary: "Make an image from a Dockerfile",
  usage: "build [-t NAME] [-f FILE] [FOLDER]",
  examples: [
    "naru build -t web:2 .",
    "naru build -t registry.local/web:2 --push --build-arg VERSION=2 .",
    "naru build --target test --progress plain .",
    "naru build --check .",
    "naru build -t web:2 --secret id=npm,src=.npmrc --output type=docker,dest=web.tar .",
  ],
  options: {
    ...connectionOptions,
    tag: {
      type: "string",
      short: "t",
      multiple: true,
      value: "NAME",
      help: "name of the image (latest when it has no tag)",
    },
    file: {
      type: "string",
      short: "f",
      value: "FILE",
      help: "the Dockerfile (default: FOLDER/Dockerfile), - is standard input",
    },
    "build-arg": {
      type: "string",
      multiple: true,
      value: "NAME[=VALUE]",
      help: "value of an ARG; without =, this shell's",
    },
    label: { type: "string", multiple: true, value: "NAME=VALUE", help: "label of the image" },
    annotation: { type: "string", multiple: true, value: "NAME=VALUE", help: "annotation of the manifest" },
    target: { type: "string", value: "STAGE", help: "the last stage to build" },
    secret: { type: "string", multiple: true, value: "id=ID,src=FILE|env=NAME", help: "for RUN --mount=type=secret" },
    platform: {
      type: "string",
      value: "OS/ARCH",
      help: "what the image is for, such as linux/arm64; default: the node's own",
    },
    check: { type: "boolean", help: "only tell what is wrong or suspicious in the Dockerfile" },
    "no-cache": { type: "boolean", help: "do every step again" },
    pull: { type: "boolean", help: "ask registries for newer images" },
    network: {
      type: "string",
      value: "MODE",
      help: "of RUN steps: default, none or host",
      complete: { type: "words", words: ["default", "none", "host"] },
    },
    "add-host": { type: "string", multiple: true, value: "NAME:ADDRESS", help: "line of /etc/hosts for RUN steps" },
    "cache-from": { type: "string", multiple: true, value: "IMAGE", help: "image with steps' results" },
    "cache-to": {
      type: "string",
      value: "IMAGE",
      help: "make an image of the steps' results; with --push it is pushed",
    },
    push: { type: "boolean", help: "push the image to the registries that its names say" },
    output: {
      type: "string",
      short: "o",
      multiple: true,
      value: "FOLDER|type=TYPE,dest=FILE",
      help: "also write the files (local, tar) or the image (docker, oci)",
    },
    quiet: { type: "boolean", short: "q", help: "print the image's id and nothing else" },
    progress: {
      type: "string",
      value: "HOW",
      help: "auto, plain, tty or quiet",
      complete: { type: "words", words: ["auto", "plain", "tty", "quiet"] },
    },
    node: {
      type: "string",
      value: "NAME",
      help: "build on this node (default: the first)",
      complete: { type: "objects", kind: "nodes" },
    },
  },
  arguments: [{ type: "files" }],
  run: async (invocation) => {
    const [folder = "."] = invocation.positionals;
    if (invocation.flag("check")) return await checkDockerfile(folder, invocation.text("file"));
    const mode = progressMode(invocation);
    const outputs = invocation.texts("output").map(readOutput);
    const context = await readContext(folder, invocation.text("file"));
    const secrets = await readSecrets(invocation);
    const connection = await connect(invocation);
    const printer = buildPrinter(mode, () => realClock.monotonicMs());
    try {
      const [node] = await nodesFor(connection, invocation);
      if (node === undefined) throw new Error("the cluster has no node to build on");
      const command = {
        command: "build" as const,
        options: optionsOf(invocation, context),
        secrets,
        logins: await allLogins(),
      };
      const built = await runBuild({ connection, node, command, context: context.tar, printer });
      const { id } = built.image;
      // The image may have more names, if it was there before: those are nobody's business here.
      const tags = invocation.texts("tag").map((tag) => formatReference(parseReference(tag)));
      const cacheTo = invocation.text("cache-to");
      if (invocation.flag("push"))
        for (const reference of [...tags, ...(cacheTo === undefined ? [] : [cacheTo])])
          await pushImage(connection, node, { reference, logins: command.logins });
      for (const output of outputs)
        await writeOutput(output, (asked) => openCommand(connection, node, asked), tags[0] ?? id);
      console.log(
        mode === "quiet"
          ? id
          : `${tags.length > 0 ? tags.join(", ") : id} (${built.cached} of ${built.steps} steps known, on ${node})`,
      );
    } finally {
      connection.close();
    }
    return 0;
  },
};

async function checkDockerfile(folder: string, file = join(folder, "Dockerfile")): Promise<number> {
  const found = lintDockerfile(parseDockerfile(await readFile(file, "utf8"), file));
  for (const { rule, text, line } of found) console.log(`${file}:${line}: ${rule}: ${text}`);
  console.log(found.length === 0 ? `${file}: nothing found` : `${file}: ${found.length} found`);
  return found.length === 0 ? 0 : 1;
}

/** "auto" is lines that change in place on a terminal. */
export function progressMode(invocation: Invocation): "plain" | "tty" | "quiet" {
  const asked = invocation.flag("quiet") ? "quiet" : (invocation.text("progress") ?? "auto");
  if (asked === "auto") return process.stderr.isTTY ? "tty" : "plain";
  if (asked !== "plain" && asked !== "tty" && asked !== "quiet")
    throw new UsageError(`--progress takes auto, plain, tty or quiet, got ${JSON.stringify(asked)}`);
  return asked;
}

function optionsOf(
  invocation: Invocation,
  context: { readonly dockerfile?: string; readonly dockerfileText?: string },
): Omit<BuildOptions, "secrets" | "credentials"> {
  const network = invocation.text("network");
  if (network !== undefined && network !== "default" && network !== "none" && network !== "host")
    throw new UsageError(`--network takes default, none or host, got ${JSON.stringify(network)}`);
  const { dockerfile, dockerfileText } = context;
  const some = (name: string, option: string) => {
    const value = invocation.text(option);
    return value === undefined ? {} : { [name]: value };
  };
  const pairs = (name: string, option: string) => {
    const given = invocation.texts(option);
    return given.length === 0 ? {} : { [name]: Object.fromEntries(given.map((text) => readPair(option, text))) };
  };
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  return {
    ...(dockerfile === undefined ? {} : { dockerfile }),
    ...(dockerfileText === undefined ? {} : { dockerfileText }),
    tags: invocation.texts("tag"),
    buildArgs: readArgs(invocation),
    ...pairs("labels", "label"),
    ...pairs("annotations", "annotation"),
    ...some("target", "target"),
    ...some("cacheTo", "cache-to"),
    ...readPlatformOption(invocation),
    noCache: invocation.flag("no-cache"),
    pull: invocation.flag("pull"),
    ...(network === undefined ? {} : { network }),
    extraHosts: invocation.texts("add-host"),
    cacheFrom: invocation.texts("cache-from"),
    ...(epoch !== undefined && /^\d+$/.test(epoch) ? { sourceDateEpoch: Number(epoch) } : {}),
  };
}

function readArgs(invocation: Invocation): Readonly<Record<string, string>> {
  const args: Record<string, string> = {};
  for (const text of invocation.texts("build-arg")) {
    const value = text.includes("=") ? text.slice(text.indexOf("=") + 1) : process.env[text];
    if (value !== undefined) args[text.split("=", 1)[0] ?? ""] = value;
  }
  return args;
}

function readPair(option: string, text: string): readonly [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError(`--${option} takes NAME=VALUE, got ${JSON.stringify(text)}`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

async function readSecrets(invocation: Invocation): Promise<Readonly<Record<string, string>>> {
  const secrets: Record<string, string> = {};
  for (const text of invocation.texts("secret")) {
    const fields = Object.fromEntries(text.split(",").map((part) => readPair("secret", part)));
    const { id, src = fields["source"], env } = fields;
    if (id === undefined)
      throw new UsageError(`--secret takes id=ID,src=FILE or id=ID,env=NAME, got ${JSON.stringify(text)}`);
    const value =
      src === undefined
        ? process.env[env ?? id]
        : await readFile(src).catch((cause) => {
            throw new Error(`secret ${id} cannot be read from ${src}`, { cause });
          });
    if (value === undefined) throw new Error(`secret ${id}: the variable ${env ?? id} is not set`);
    secrets[id] = Buffer.from(value).toString("base64");
  }
  return secrets;
}

interface Output {
  readonly type: "local" | "tar" | "docker" | "oci" | "image";
  readonly dest: string;
}

// Docker's words: "out" is a folder, "type=tar,dest=rootfs.tar", "-" a tar on standard output.
function readOutput(text: string): Output {
  if (text === "-") return { type: "tar", dest: "-" };
  if (!text.includes("=")) return { type: "local", dest: text };
  const { type, dest = "" } = Object.fromEntries(text.split(",").map((part) => readPair("output", part)));
  if (type !== "local" && type !== "tar" && type !== "docker" && type !== "oci" && type !== "image")
    throw new UsageError(`--output takes type=local, tar, docker, oci or image, got ${JSON.stringify(text)}`);
  if (dest === "" && type !== "image")
    throw new UsageError(`--output type=${type} needs dest=, got ${JSON.stringify(text)}`);
  return { type, dest };
}

async function writeOutput(
  { type, dest }: Output,
  open: (command: ImageCommand) => Promise<AsyncIterable<Buffer>>,
  reference: string,
): Promise<void> {
  if (type === "image") return;
  const files = { command: "export", reference } as const;
  const stream = await open(
    type === "docker" || type === "oci" ? { command: "save", references: [reference], format: type } : files,
  );
  if (type === "local") {
    await mkdir(dest, { recursive: true });
    await receiveFiles(stream, dest);
  } else await pipeline(stream, dest === "-" ? process.stdout : createWriteStream(dest));
}
