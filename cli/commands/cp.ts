// naru cp: files from and to a container, as kubectl does it: through tar, which the container's image has to have.
import { stat } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { pods } from "../../api/kinds/generated/resources.ts";
import { type Command, connectionOptions, namespaceOptions, UsageError } from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { receiveTar, sendTar } from "../copy-tar.ts";
import { openRemote, type RemoteStreams } from "../remote-streams.ts";
import { namespaceOf, pathOf } from "../resources.ts";

export interface Side {
  readonly namespace: string;
  readonly pod: string;
  readonly path: string;
}

const complaintBytesMax = 4096;

export const cp: Command = {
  name: "cp",
  summary: "Copy files from and to a container",
  usage: "cp FILE POD:PATH | cp POD:PATH FILE [-c CONTAINER]",
  examples: ["naru cp notes.txt web-5d9c-x7k2p:/tmp/notes.txt", "naru cp shop/db-0:/var/log logs -c db"],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    container: { type: "string", short: "c", value: "NAME", help: "which container, when there are several" },
  },
  run: async (invocation) => {
    const [from, to, ...more] = invocation.positionals;
    if (from === undefined || to === undefined || more.length > 0) throw new UsageError("name a source and a target");
    const connection = await connect(invocation);
    try {
      const namespace = namespaceOf(invocation, connection);
      const copy = { from, to, source: parseSide(from, namespace), target: parseSide(to, namespace) };
      await copyFiles(connection, { ...copy, container: invocation.text("container") }, invocation.signal);
      return 0;
    } finally {
      connection.close();
    }
  },
};

export interface Copy {
  readonly from: string;
  readonly to: string;
  /** One of the two is in a container. */
  readonly source: Side | undefined;
  readonly target: Side | undefined;
  readonly container: string | undefined;
}

export async function copyFiles(
  connection: Connection,
  { from, to, source, target, container }: Copy,
  signal: AbortSignal,
): Promise<void> {
  const run = (side: Side, command: readonly string[]) => execute(connection, { side, command, container }, signal);
  if (source === undefined && target !== undefined) await upload(from, target, run);
  else if (source !== undefined && target === undefined) await download(source, to, run);
  else throw new UsageError("one of the two must be in a container: NAME:PATH");
}

type Run = (side: Side, command: readonly string[]) => Promise<RemoteStreams>;

/** "web-1:/tmp/x" or "shop/web-1:/tmp/x"; undefined for a place on this machine. */
export function parseSide(word: string, namespace: string): Side | undefined {
  const [, own, pod = "", path = ""] = /^(?:([a-z0-9][a-z0-9-]*)\/)?([a-z0-9][a-z0-9.-]*):(.*)$/.exec(word) ?? [];
  if (pod === "") return undefined;
  if (path === "") throw new UsageError(`${word} names no path in the container`);
  return { namespace: own ?? namespace, pod, path };
}

// Below a folder that exists there, or under the name that is given.
async function upload(from: string, to: Side, run: Run): Promise<void> {
  await stat(from).catch((cause: unknown) => {
    throw new Error(`${from}: no such file or folder here`, { cause });
  });
  const isFolder = to.path.endsWith("/") || (await code(await run(to, ["test", "-d", to.path]))) === 0;
  const place = isFolder ? posix.join(to.path, basename(from)) : to.path;
  const remote = await run(to, ["tar", "-xmf", "-", "-C", posix.dirname(place)]);
  const said = complaintOf(remote);
  remote.stdout.resume();
  await sendTar(from, posix.basename(place), { output: remote.stdin, warn: console.error }).catch((cause: unknown) => {
    remote.close();
    throw cause;
  });
  await finished(remote, said);
}

async function download(from: Side, to: string, run: Run): Promise<void> {
  const root = posix.basename(posix.normalize(from.path));
  const isFolder = (await stat(to).catch(() => undefined))?.isDirectory() === true;
  const remote = await run(from, ["tar", "-cf", "-", "-C", posix.dirname(posix.normalize(from.path)), root]);
  const said = complaintOf(remote);
  const destination = isFolder ? join(to, root) : to;
  await receiveTar(remote.stdout, { root, destination, warn: console.error });
  await finished(remote, said);
}

async function execute(
  connection: Connection,
  { side, command, container }: { side: Side; command: readonly string[]; container: string | undefined },
  signal: AbortSignal,
): Promise<RemoteStreams> {
  const query = new URLSearchParams({ stdin: "true", stdout: "true", stderr: "true", tty: "false" });
  for (const word of command) query.append("command", word);
  if (container !== undefined) query.set("container", container);
  return openRemote(connection, `${pathOf(pods, side.namespace, side.pod)}/exec?${query}`, signal);
}

async function code(remote: RemoteStreams): Promise<number> {
  remote.stdout.resume();
  remote.stderr.resume();
  return remote.exit;
}

function complaintOf(remote: RemoteStreams): () => string {
  let text = "";
  remote.stderr.on("data", (part: Buffer) => {
    if (text.length < complaintBytesMax) text += part.toString();
  });
  return () => text.trim();
}

async function finished(remote: RemoteStreams, said: () => string): Promise<void> {
  const exitCode = await remote.exit.catch((cause: Error) => {
    const hint = /not found|no such file/i.test(cause.message) ? ": copying needs the program tar in the image" : "";
    throw new Error(`${cause.message}${hint}`, { cause });
  });
  if (exitCode !== 0) throw new Error(`tar in the container ended with ${exitCode}: ${said()}`);
}
