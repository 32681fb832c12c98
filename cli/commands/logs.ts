// naru logs: what containers wrote; of several pods at once with each line's origin in front.
import { pods } from "../../api/kinds/generated/resources.ts";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { lines } from "../../client/http.ts";
import {
  type Command,
  connectionOptions,
  type Invocation,
  namespaceOptions,
  numberOption,
  UsageError,
} from "../command.ts";
import { type Connection, connect } from "../connection.ts";
import { containerOf, podsOf, podTargets } from "../pods.ts";
import { namespaceOf, pathOf } from "../resources.ts";
import { cyan } from "../terminal.ts";

export const logs: Command = {
  name: "logs",
  summary: "Print what a container wrote",
  usage: "logs POD|KIND/NAME [-c CONTAINER] [-f]",
  examples: [
    "naru logs web-5d9c-x7k2p",
    "naru logs -f deploy/web",
    "naru logs web-1 --previous --tail 20",
    "naru logs web-1 --all-containers --since 5m",
  ],
  options: {
    ...connectionOptions,
    ...namespaceOptions,
    follow: { type: "boolean", short: "f", help: "go on printing as it is written" },
    container: { type: "string", short: "c", value: "NAME", help: "which container, when there are several" },
    previous: { type: "boolean", short: "p", help: "of the container before its last restart" },
    tail: { type: "string", value: "LINES", help: "only the last lines" },
    since: { type: "string", value: "TIME", help: "only what is younger: 90s, 5m, 2h" },
    "since-time": { type: "string", value: "TIME", help: "only what is younger: 2026-01-31T12:00:00Z" },
    "limit-bytes": { type: "string", value: "N", help: "of each container no more than so many bytes" },
    "all-containers": { type: "boolean", help: "of all containers, init containers among them" },
    prefix: { type: "boolean", help: "each line with its pod and container in front" },
    timestamps: { type: "boolean", help: "with the time of each line" },
  },
  arguments: [podTargets],
  run: async (invocation) => {
    const [word] = invocation.positionals;
    if (word === undefined) throw new UsageError("name a pod, or an object that has pods, such as deploy/web");
    const connection = await connect(invocation);
    // Pods of one owner have the same to say.
    const told = new Set<string>();
    const tellOnce = (text: string) => {
      if (!told.has(text)) console.error(text);
      told.add(text);
    };
    const sources = (await podsOf(connection, namespaceOf(invocation, connection), word)).flatMap((pod) =>
      containersOf(pod, invocation, tellOnce).map((container) => ({ pod, container })),
    );
    const options = { query: queryOf(invocation), prefix: invocation.flag("prefix") };
    await printLogs(connection, sources, options, invocation.signal);
    connection.close();
    return 0;
  },
};

export interface LogSource {
  readonly pod: Pod;
  /** undefined: the pod's default one. */
  readonly container?: string | undefined;
}

/** What containers wrote, as it comes; of several each line with where it is from in front. */
export async function printLogs(
  connection: Connection,
  sources: readonly LogSource[],
  { query, prefix }: { readonly query: URLSearchParams; readonly prefix?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const several = sources.length > 1 || prefix === true;
  await Promise.all(
    sources.map(async ({ pod: { metadata }, container }) => {
      const name = metadata?.name ?? "";
      const own = new URLSearchParams(query);
      if (container !== undefined) own.set("container", container);
      const path = `${pathOf(pods, metadata?.namespace, name)}/log?${own}`;
      const answer = await connection.open("GET", path, { signal, accept: "*/*" });
      const origin = cyan(container === undefined ? name : `${name}/${container}`);
      if (several) for await (const line of lines(answer as AsyncIterable<Buffer>)) console.log(`${origin} ${line}`);
      else for await (const part of answer) process.stdout.write(part as Buffer);
    }),
  );
}

function containersOf(pod: Pod, invocation: Invocation, tell: (text: string) => void): readonly (string | undefined)[] {
  if (!invocation.flag("all-containers")) return [containerOf(pod, invocation.text("container"), tell)];
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {};
  return [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name);
}

function queryOf(invocation: Invocation): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["follow", "previous", "timestamps"]) if (invocation.flag(name)) query.set(name, "true");
  for (const [option, parameter] of Object.entries({ tail: "tailLines", "limit-bytes": "limitBytes" })) {
    const number = numberOption(invocation, option);
    if (number !== undefined) query.set(parameter, String(number));
  }
  const since = invocation.text("since");
  if (since !== undefined) query.set("sinceSeconds", String(secondsOf(since)));
  const sinceTime = invocation.text("since-time");
  if (sinceTime !== undefined) query.set("sinceTime", sinceTime);
  return query;
}

/** "90", "90s", "5m", "1h30m" */
export function secondsOf(text: string): number {
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^(?:\d+[smhd])+$/.test(text))
    throw new UsageError(`--since takes 90s, 5m or 1h30m, got ${JSON.stringify(text)}`);
  return [...text.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, n, unit = "s"]) => sum + Number(n) * (units[unit] ?? 1),
    0,
  );
}
