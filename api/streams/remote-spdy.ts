// exec and attach over SPDY/3.1: one stream per channel.
// Source: Kubernetes, k8s.io/apimachinery/pkg/util/remotecommand and the kubelet's remotecommand server (stream types, protocol versions).
import type { StreamUpgrade } from "../http/stream-broker.ts";
import { ApiError } from "../kinds/status.ts";
import { errorChannelText } from "./exit-status.ts";
import { parseSizes, type RemoteChannels, type RemoteInput } from "./remote-command.ts";
import { openSpdy, type SpdyStream } from "./spdy.ts";
import { listOf, switchProtocols } from "./upgrade-answer.ts";

/** Best first. */
const versions: Readonly<Record<string, number>> = {
  "v4.channel.k8s.io": 4,
  "v3.channel.k8s.io": 3,
  "v2.channel.k8s.io": 2,
  "channel.k8s.io": 1,
};

/** How long the client may take to open its streams. */
const streamsMsMax = 30_000;

/** Refuses with Forbidden; changes nothing on the connection. */
export function agreeOnRemoteSpdy({ request }: StreamUpgrade): string {
  const offered = listOf(request.headers["x-stream-protocol-version"]);
  if (offered.length === 0) return "channel.k8s.io";
  const protocol = Object.keys(versions).find((version) => offered.includes(version));
  if (protocol !== undefined) return protocol;
  throw new ApiError(
    "Forbidden",
    `none of the stream protocols ${offered.join(", ")} is spoken here, only ${Object.keys(versions).join(", ")}`,
  );
}

export async function acceptRemoteSpdy(upgrade: StreamUpgrade, protocol: string): Promise<RemoteChannels> {
  const version = versions[protocol] ?? 1;
  const { socket, head } = upgrade;
  switchProtocols(socket, { Upgrade: "SPDY/3.1", "X-Stream-Protocol-Version": protocol });
  if (head.length > 0) socket.unshift(head);
  const connection = openSpdy(socket);
  const streams = await collectStreams(connection.streams, wantedTypes(upgrade.query, version)).catch(async (error) => {
    await connection[Symbol.asyncDispose]();
    throw error;
  });
  return {
    input: inputs(streams),
    write: async (channel, data) => streams.get(channel)?.write(data),
    finish: async (status) => {
      streams.get("stdout")?.end();
      streams.get("stderr")?.end();
      const text = errorChannelText(status, version);
      const error = streams.get("error");
      if (text !== undefined) await error?.write(Buffer.from(text)).catch(() => {});
      error?.end();
      await connection[Symbol.asyncDispose]();
    },
    signal: connection.signal,
  };
}

function wantedTypes(query: URLSearchParams, version: number): ReadonlySet<string> {
  const wants = (name: string) => ["true", "1"].includes(query.get(name) ?? "");
  const types = new Set(["error"]);
  if (wants("stdin")) types.add("stdin");
  if (wants("stdout")) types.add("stdout");
  if (wants("stderr") && !wants("tty")) types.add("stderr");
  if (wants("tty") && version >= 3) types.add("resize");
  return types;
}

async function collectStreams(
  opened: AsyncIterable<SpdyStream>,
  wanted: ReadonlySet<string>,
): Promise<ReadonlyMap<string, SpdyStream>> {
  const streams = new Map<string, SpdyStream>();
  const iterator = opened[Symbol.asyncIterator]();
  const deadline = AbortSignal.timeout(streamsMsMax);
  const late = new Promise<never>((_, reject) => {
    deadline.addEventListener("abort", () => reject(new Error("the client did not open its streams in time")));
  });
  late.catch(() => {});
  while (streams.size < wanted.size) {
    const next = await Promise.race([iterator.next(), late]);
    if (next.done === true) throw new Error("the client went away before it had opened its streams");
    const type = next.value.headers["streamtype"] ?? "";
    if (!wanted.has(type) || streams.has(type)) next.value.reset();
    else streams.set(type, next.value);
  }
  return streams;
}

async function* inputs(streams: ReadonlyMap<string, SpdyStream>): AsyncGenerator<RemoteInput> {
  const sources: AsyncIterator<RemoteInput>[] = [];
  const [stdin, resize] = [streams.get("stdin"), streams.get("resize")];
  if (stdin !== undefined) sources.push(typed(stdin));
  if (resize !== undefined) sources.push(sizes(resize));
  yield* merge(sources);
}

async function* typed(stream: SpdyStream): AsyncGenerator<RemoteInput> {
  for await (const data of stream.input) yield { type: "stdin", data };
  yield { type: "stdinEnd" };
}

async function* sizes(stream: SpdyStream): AsyncGenerator<RemoteInput> {
  for await (const data of stream.input) {
    for (const size of parseSizes(Buffer.from(data).toString())) yield { type: "resize", ...size };
  }
}

/** What comes first from any of them, until all have ended. */
async function* merge<T>(sources: readonly AsyncIterator<T>[]): AsyncGenerator<T> {
  const ask = async (source: AsyncIterator<T>) => ({ source, result: await source.next() });
  const asked = new Map(sources.map((source) => [source, ask(source)]));
  while (asked.size > 0) {
    const { source, result } = await Promise.race(asked.values());
    if (result.done === true) asked.delete(source);
    else {
      asked.set(source, ask(source));
      yield result.value;
    }
  }
}
