// Image work asked of a node through the server: lines of JSON come back, or a tar.

import { nodes } from "../../api/kinds/generated/resources.ts";
import type { Node } from "../../api/kinds/generated/types.ts";
import { lines } from "../../client/http.ts";
import type { ImageCommand } from "../../node-agent/streams/image-commands.ts";
import type { Invocation } from "../command.ts";
import type { Connection } from "../connection.ts";
import { pathOf } from "../resources.ts";

/** What nodes say of images; which fields there are depends on what was asked. */
export interface ImageLine {
  readonly id?: string;
  readonly tags?: readonly string[];
  readonly digests?: readonly string[];
  readonly sizeBytes?: number;
  readonly type?: string;
  readonly digest?: string;
  readonly state?: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

/** Names of the nodes that a command means. */
export async function nodesFor(connection: Connection, invocation: Invocation): Promise<readonly string[]> {
  const only = invocation.text("node");
  if (only !== undefined) return [only];
  const { items } = await connection.send<{ items: Node[] }>("GET", pathOf(nodes, undefined));
  return items.map(({ metadata }) => metadata?.name ?? "");
}

/** Asks by method: GET lists, POST pulls, DELETE removes, PUT imports. */
export async function* linesOf(
  connection: Connection,
  method: "GET" | "POST" | "PUT" | "DELETE",
  node: string,
  query: Readonly<Record<string, string>>,
  stream?: AsyncIterable<Uint8Array>,
): AsyncIterable<ImageLine> {
  yield* readLines<ImageLine>(node, await open(connection, { method, node, query, input: stream }));
}

/** Asks by command; the archive follows it. */
export async function* commandLines<Line>(
  connection: Connection,
  node: string,
  command: ImageCommand,
  archive?: AsyncIterable<Uint8Array>,
): AsyncIterable<Line> {
  yield* readLines<Line>(node, await openCommand(connection, node, command, archive));
}

/** The answer's only line; what says more, such as how far it is, ends when it was read to the end. */
export async function commandLine<Line>(connection: Connection, node: string, command: ImageCommand): Promise<Line> {
  for await (const line of commandLines<Line>(connection, node, command)) return line;
  throw new Error(`${node} gave no answer`);
}

export async function openCommand(
  connection: Connection,
  node: string,
  command: ImageCommand,
  archive?: AsyncIterable<Uint8Array>,
): Promise<AsyncIterable<Buffer>> {
  const input = (async function* () {
    yield Buffer.from(`${JSON.stringify(command)}\n`);
    if (archive !== undefined) yield* archive;
  })();
  return await open(connection, { method: "POST", node, query: { command: command.command }, input });
}

async function open(
  connection: Connection,
  asked: {
    readonly method: "GET" | "POST" | "PUT" | "DELETE";
    readonly node: string;
    readonly query: Readonly<Record<string, string>>;
    readonly input?: AsyncIterable<Uint8Array> | undefined;
  },
): Promise<AsyncIterable<Buffer>> {
  const { method, node, query, input } = asked;
  const path = `/naru/v1/nodes/${encodeURIComponent(node)}/images?${new URLSearchParams(query)}`;
  const body = input === undefined ? {} : { input, type: "application/x-tar" };
  return (await connection.open(method, path, body).catch((cause: unknown) => {
    throw new Error(node, { cause });
  })) as AsyncIterable<Buffer>;
}

async function* readLines<Line>(node: string, answer: AsyncIterable<Buffer>): AsyncIterable<Line> {
  for await (const line of lines(answer)) {
    if (line === "") continue;
    const value: { readonly error?: string; readonly type?: string } = JSON.parse(line);
    // A build's failed step has an error too, which is no end.
    if (value.type !== "step" && value.error !== undefined && value.error !== "")
      throw new Error(`${node}: ${value.error}`);
    // The caller names what the node answers with.
    yield value as Awaited<Line>;
  }
}
