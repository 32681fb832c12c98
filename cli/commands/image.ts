// naru image: what is in nodes' layer stores.
import { createReadStream } from "node:fs";
import { nodes } from "../../api/kinds/generated/resources.ts";
import type { Node } from "../../api/kinds/generated/types.ts";
import { lines } from "../../client/http.ts";
import { type Command, connectionOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { silentProgress, startProgress } from "../progress.ts";
import { pathOf } from "../resources.ts";
import { printTable } from "../terminal.ts";

interface ImageLine {
  readonly id?: string;
  readonly tags?: readonly string[];
  readonly sizeBytes?: number;
  readonly type?: string;
  readonly digest?: string;
  readonly state?: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

export const image: Command = {
  name: "image",
  summary: "Images on nodes: ls, pull, import, rm",
  usage: "image ls|pull REFERENCE|import FILE|rm REFERENCE [--node NAME]",
  examples: [
    "naru image ls",
    "naru image pull docker.io/library/nginx:1.27",
    "docker save web:1 | naru image import -",
    "naru image rm web:1 --node node-2",
  ],
  options: {
    ...connectionOptions,
    node: {
      type: "string",
      value: "NAME",
      help: "only on this node (default: every node)",
      complete: { type: "objects", kind: "nodes" },
    },
  },
  arguments: [{ type: "words", words: ["ls", "pull", "import", "rm"] }, { type: "files" }],
  run: async (invocation) => {
    const [action = "ls", argument] = invocation.positionals;
    if (!["ls", "pull", "import", "rm"].includes(action))
      throw new UsageError(`image takes ls, pull, import or rm, got ${JSON.stringify(action)}`);
    if (action !== "ls" && argument === undefined)
      throw new UsageError(`image ${action} takes ${action === "import" ? "a file, or -" : "a reference"}`);
    const connection = await connect(invocation);
    const only = invocation.text("node");
    const names =
      only === undefined
        ? (await connection.send<{ items: Node[] }>("GET", pathOf(nodes, undefined))).items.map(
            ({ metadata }) => metadata?.name ?? "",
          )
        : [only];
    try {
      if (action === "ls")
        console.log(
          printTable(
            ["NODE", "IMAGE", "ID", "SIZE"],
            (await Promise.all(names.map((name) => list(connection, name)))).flat(),
          ),
        );
      else if (action === "import" && argument === "-") await importStream(connection, names);
      else await onEach(names, (name) => act(connection, name, { action, argument: argument ?? "" }));
    } finally {
      connection.close();
    }
    return 0;
  },
};

async function list(connection: Connection, node: string): Promise<readonly (readonly string[])[]> {
  const rows: string[][] = [];
  for await (const line of linesOf(connection, "GET", node, {})) {
    const { tags = [], id = "", sizeBytes = 0 } = line;
    for (const tag of tags.length === 0 ? ["<none>"] : tags)
      rows.push([node, tag, id.replace("sha256:", "").slice(0, 12), megabytes(sizeBytes)]);
  }
  return rows;
}

// One node's refusal does not end the others' work.
async function onEach(nodes: readonly string[], run: (node: string) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(nodes.map(run));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

export interface ImageAction {
  readonly action: string;
  /** Reference, or file for an import. */
  readonly argument: string;
  /** The archive, when it is no file. */
  readonly stream?: AsyncIterable<Uint8Array>;
  readonly quiet?: boolean;
}

/** Pulls, imports or removes on one node. */
export async function act(
  connection: Connection,
  node: string,
  { action, argument, stream, quiet = false }: ImageAction,
): Promise<void> {
  const progress = quiet ? silentProgress : startProgress();
  const lines =
    action === "pull"
      ? linesOf(connection, "POST", node, { reference: argument })
      : action === "rm"
        ? linesOf(connection, "DELETE", node, { reference: argument })
        : linesOf(connection, "PUT", node, {}, stream ?? createReadStream(argument));
  const layers = new Map<string, ImageLine>();
  let last: ImageLine = {};
  try {
    for await (const line of lines) {
      last = line;
      if (line.type !== "layer") continue;
      layers.set(line.digest ?? "", line);
      const [text, detail] = layersText([...layers.values()]);
      progress.update(`${node}: ${text}`, detail);
    }
  } catch (error) {
    progress.clear();
    throw error;
  }
  const done = { pull: "pulled", rm: "removed", import: "imported" }[action];
  const what = action === "import" ? (last.tags?.join(", ") ?? argument) : argument;
  progress.done(`${node}: ${done} ${what}`);
}

// One reading of standard input serves every node.
async function importStream(connection: Connection, names: readonly string[]): Promise<void> {
  const { PassThrough } = await import("node:stream");
  const copies = names.map((name) => ({ name, copy: process.stdin.pipe(new PassThrough()) }));
  await Promise.all(
    copies.map(({ name, copy }) => act(connection, name, { action: "import", argument: "-", stream: copy })),
  );
}

async function* linesOf(
  connection: Connection,
  method: "GET" | "POST" | "PUT" | "DELETE",
  node: string,
  query: Readonly<Record<string, string>>,
  stream?: AsyncIterable<Uint8Array>,
): AsyncIterable<ImageLine> {
  const path = `/naru/v1/nodes/${encodeURIComponent(node)}/images?${new URLSearchParams(query)}`;
  const body = stream === undefined ? {} : { input: stream, type: "application/x-tar" };
  const answer = await connection.open(method, path, body).catch((cause: unknown) => {
    throw new Error(node, { cause });
  });
  for await (const line of lines(answer as AsyncIterable<Buffer>)) {
    if (line === "") continue;
    const value = JSON.parse(line) as ImageLine & { readonly error?: string; readonly items?: readonly ImageLine[] };
    if (value.error !== undefined && value.error !== "") throw new Error(`${node}: ${value.error}`);
    yield value;
  }
}

function layersText(layers: readonly ImageLine[]): readonly [text: string, detail: string] {
  const here = layers.filter(({ state }) => state === "exists").length;
  const unpacked = layers.filter(({ state }) => state === "unpacked").length;
  const sum = (field: "doneBytes" | "totalBytes") => layers.reduce((bytes, layer) => bytes + (layer[field] ?? 0), 0);
  return [
    `${unpacked + here} of ${layers.length} layers${here === 0 ? "" : `, ${here} of them already there`}`,
    `${megabytes(sum("doneBytes"))} of ${megabytes(sum("totalBytes"))}`,
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
