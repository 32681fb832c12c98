// What `naru image` can do: an entry an action.
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { DiskUsage, FoundImage, HistoryLine, ImageDetails, Removal } from "../../node-agent/images/library.ts";
import { type Invocation, UsageError } from "../command.ts";
import type { Connection } from "../connection.ts";
import { printTable } from "../terminal.ts";
import { commandLine, commandLines, type ImageLine, linesOf, openCommand } from "./ask-node.ts";
import { readPlatformOption } from "./platform-option.ts";
import { pushImage } from "./push-image.ts";
import { eraseLogin, loginsFor, storeLogin } from "./registry-logins.ts";
import { sizeText, transfer } from "./transfer.ts";

export interface ActionContext {
  readonly connection: Connection;
  readonly invocation: Invocation;
  /** Those that were named, or all. */
  readonly nodes: readonly string[];
  /** Behind the action's name. */
  readonly args: readonly string[];
}

export interface Action {
  readonly name: string;
  /** What stands for its arguments in a refusal; "" takes none. */
  readonly takes: string;
  readonly run: (context: ActionContext) => Promise<void>;
}

export const actions: readonly Action[] = [
  { name: "ls", takes: "", run: list },
  { name: "pull", takes: "a reference", run: pull },
  { name: "push", takes: "a reference", run: pushFromNode },
  { name: "tag", takes: "a reference and a name", run: tag },
  { name: "import", takes: "a file, or -", run: importFile },
  { name: "save", takes: "references", run: save },
  { name: "rm", takes: "a reference", run: remove },
  { name: "inspect", takes: "a reference", run: inspect },
  { name: "history", takes: "a reference", run: history },
  { name: "prune", takes: "", run: prune },
  { name: "df", takes: "", run: usage },
  { name: "search", takes: "a word, perhaps behind a registry: registry.local/web", run: search },
  { name: "login", takes: "", run: login },
  { name: "logout", takes: "", run: logout },
];

async function list({ connection, nodes }: ActionContext): Promise<void> {
  const rows = await Promise.all(
    nodes.map(async (node) => {
      const lines: string[][] = [];
      for await (const { tags = [], id = "", sizeBytes = 0 } of linesOf(connection, "GET", node, {})) {
        for (const name of tags.length === 0 ? ["<none>"] : tags)
          lines.push([node, name, short(id), sizeText(sizeBytes)]);
      }
      return lines;
    }),
  );
  console.log(printTable(["NODE", "IMAGE", "ID", "SIZE"], rows.flat()));
}

async function pull({ connection, nodes, invocation, args: [reference = ""] }: ActionContext): Promise<void> {
  const platform = readPlatformOption(invocation);
  const logins = await loginsFor([reference]);
  await onEach(nodes, async (node) => {
    const lines = commandLines<ImageLine>(connection, node, { command: "pull", reference, logins, ...platform });
    await transfer(node, lines, { done: () => `pulled ${reference}` });
  });
}

/** From a node that has it to its registry. */
export async function pushFromNode({
  connection,
  nodes,
  invocation,
  args: [reference = ""],
}: ActionContext): Promise<void> {
  const node = await nodeWith(connection, nodes, reference);
  const compression = invocation.flag("zstd") ? ("zstd" as const) : ("gzip" as const);
  await pushImage(connection, node, { reference, logins: await loginsFor([reference]), compression });
}

async function tag({ connection, nodes, args: [reference = "", name] }: ActionContext): Promise<void> {
  if (name === undefined) throw new UsageError("image tag takes a reference and a name");
  const having = await nodesWith(connection, nodes, reference);
  await onEach(having, async (node) => {
    await commandLine(connection, node, { command: "tag", reference, name });
    console.log(`${node}: ${reference} is ${name} too`);
  });
}

async function importFile({ connection, nodes, args: [file = ""] }: ActionContext): Promise<void> {
  if (file !== "-" && statSync(file, { throwIfNoEntry: false })?.isFile() !== true)
    throw new Error(`${file}: there is no such file`);
  // One reading of standard input serves every node.
  const streamFor = () => (file === "-" ? process.stdin.pipe(new PassThrough()) : createReadStream(file));
  const streams = nodes.map((node) => ({ node, stream: streamFor() }));
  const results = await Promise.allSettled(
    streams.map(({ node, stream }) =>
      transfer(node, linesOf(connection, "PUT", node, {}, stream), {
        done: ({ tags = [] }) => `imported ${tags.join(", ") || file}`,
      }),
    ),
  );
  throwFirst(results);
}

async function save({ connection, nodes, invocation, args }: ActionContext): Promise<void> {
  const node = await nodeWith(connection, nodes, args[0] ?? "");
  const output = invocation.text("output");
  if (output === undefined && process.stdout.isTTY)
    throw new UsageError("image save writes a tar: name a file with --output");
  const format = invocation.flag("oci") ? ("oci" as const) : ("docker" as const);
  const tar = await openCommand(connection, node, { command: "save", references: args, format });
  await pipeline(tar, output === undefined || output === "-" ? process.stdout : createWriteStream(output));
}

async function remove({ connection, nodes, invocation, args: [reference = ""] }: ActionContext): Promise<void> {
  const having = await nodesWith(connection, nodes, reference);
  await onEach(having, async (node) => {
    const command = { command: "rm" as const, reference, force: invocation.flag("force") };
    for await (const removal of commandLines<Removal>(connection, node, command)) tellRemoval(node, removal);
  });
}

async function inspect({ connection, nodes, args: [reference = ""] }: ActionContext): Promise<void> {
  const node = await nodeWith(connection, nodes, reference);
  console.log(
    JSON.stringify(await commandLine<ImageDetails>(connection, node, { command: "inspect", reference }), null, 2),
  );
}

async function history({ connection, nodes, args: [reference = ""] }: ActionContext): Promise<void> {
  const node = await nodeWith(connection, nodes, reference);
  const rows: string[][] = [];
  for await (const line of commandLines<HistoryLine>(connection, node, { command: "history", reference })) {
    rows.push([
      short(line.id ?? ""),
      line.created ?? "",
      sizeText(line.sizeBytes),
      line.createdBy.replace(/\s+/g, " "),
      line.comment,
    ]);
  }
  console.log(printTable(["IMAGE", "CREATED", "SIZE", "CREATED BY", "COMMENT"], rows));
}

async function prune({ connection, nodes, invocation }: ActionContext): Promise<void> {
  await onEach(nodes, async (node) => {
    const { removed, freedBytes } = await commandLine<{
      readonly removed: readonly Removal[];
      readonly freedBytes: number;
    }>(connection, node, { command: "prune", all: invocation.flag("all") });
    for (const removal of removed) tellRemoval(node, removal);
    console.log(`${node}: freed ${sizeText(freedBytes)}`);
  });
}

async function usage({ connection, nodes }: ActionContext): Promise<void> {
  const rows = await Promise.all(
    nodes.map(async (node) => {
      const used = await commandLine<DiskUsage & { readonly buildCache: { readonly bytes: number } }>(
        connection,
        node,
        {
          command: "usage",
        },
      );
      const written = used.containers.reduce((sum, { writableBytes }) => sum + writableBytes, 0);
      const free = used.images.filter(({ containerIds }) => containerIds.length === 0).length;
      return [
        ...[node, String(used.images.length), String(free), sizeText(used.layerBytes), sizeText(used.blobBytes)],
        ...[sizeText(written), sizeText(used.buildCache.bytes)],
      ];
    }),
  );
  console.log(printTable(["NODE", "IMAGES", "UNUSED", "LAYERS", "COMPRESSED", "CONTAINERS", "BUILD CACHE"], rows));
}

async function search({ connection, nodes, args: [text = ""] }: ActionContext): Promise<void> {
  const [node] = nodes;
  if (node === undefined) throw new Error("the cluster has no node that could ask the registry");
  const [, host, word] = /^([^/]*[.:][^/]*|localhost)\/(.*)$/.exec(text) ?? [];
  const registry = host ?? "docker.io";
  const command = {
    command: "search" as const,
    term: word ?? text,
    registry,
    logins: await loginsFor([`${registry}/x`]),
  };
  const rows: string[][] = [];
  for await (const { name, description, stars, isOfficial } of commandLines<FoundImage>(connection, node, command))
    rows.push([name, description.replace(/\s+/g, " ").slice(0, 60), String(stars), isOfficial ? "yes" : ""]);
  console.log(printTable(["NAME", "DESCRIPTION", "STARS", "OFFICIAL"], rows));
}

async function login({ connection, nodes, invocation, args: [registry = "docker.io"] }: ActionContext): Promise<void> {
  const username = invocation.text("username");
  if (username === undefined)
    throw new UsageError("image login takes --username NAME, and the password on standard input");
  const password = (await readAll(process.stdin)).replace(/\r?\n$/, "");
  if (password === "")
    throw new UsageError("the password is expected on standard input: naru image login HOST -u NAME < password");
  const [node] = nodes;
  if (node === undefined) throw new Error("the cluster has no node that could ask the registry");
  const credentials = { username, password };
  await commandLine(connection, node, { command: "login", registry, credentials });
  console.log(`${registry} takes ${username}; kept in ${await storeLogin(registry, credentials)}`);
}

async function logout({ args: [registry = "docker.io"] }: ActionContext): Promise<void> {
  console.log(
    (await eraseLogin(registry)) ? `the login of ${registry} is forgotten` : `there was no login of ${registry}`,
  );
}

// One node's refusal does not end the others' work.
async function onEach(nodes: readonly string[], run: (node: string) => Promise<void>): Promise<void> {
  throwFirst(await Promise.allSettled(nodes.map(run)));
}

function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function nodesWith(
  connection: Connection,
  nodes: readonly string[],
  reference: string,
): Promise<readonly string[]> {
  if (nodes.length === 1) return nodes;
  const found = await Promise.all(
    nodes.map(async (node) => {
      const details = await commandLine<ImageDetails>(connection, node, { command: "inspect", reference }).catch(
        () => undefined,
      );
      return details === undefined ? [] : [node];
    }),
  );
  const having = found.flat();
  if (having.length === 0) throw new Error(`no node has an image ${reference}`);
  return having;
}

async function nodeWith(connection: Connection, nodes: readonly string[], reference: string): Promise<string> {
  return (await nodesWith(connection, nodes, reference))[0] ?? "";
}

function tellRemoval(node: string, removal: Removal): void {
  console.log("untagged" in removal ? `${node}: untagged ${removal.untagged}` : `${node}: deleted ${removal.deleted}`);
}

function short(id: string): string {
  return id.replace("sha256:", "").slice(0, 12);
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}
