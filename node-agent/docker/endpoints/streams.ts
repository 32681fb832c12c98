// A container's streams: attach, logs, the size of its terminal.
import type { Writable } from "node:stream";
import type { LogRecord } from "../../streams/log-records.ts";
import { type LogSink, readLog } from "../../streams/read-log.ts";
import { parseDetachKeys } from "../containers/detach-keys.ts";
import { joinStreams } from "../containers/join-streams.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { Door } from "../door.ts";
import { badRequest, conflict, DockerProblem } from "../http/problem.ts";
import { parseTime, type Query } from "../http/query.ts";
import { type Call, empty, type Reply, type Route, writeTo } from "../http/reply.ts";
import { frame } from "../http/server.ts";

export function streamRoutes(door: Door): readonly Route[] {
  const { containers, parts } = door;
  const find = (params: Readonly<Record<string, string>>) => containers.find(params["id"] ?? "");
  return [
    [
      "POST /containers/{id}/attach",
      async (call) => {
        const record = find(call.params);
        const { run } = attach(door, record, call, "framed");
        return { type: "hijack", contentType: streamType(record.config.Tty, call.apiMinor), run };
      },
    ],
    // Browsers' way: its messages are not framed, whether there is a terminal or not.
    [
      "GET /containers/{id}/attach/ws",
      async (call) => ({ type: "upgrade", protocol: "websocket", ...attach(door, find(call.params), call, "plain") }),
    ],
    ["GET /containers/{id}/logs", async ({ params, query, apiMinor }) => logs(door, find(params), query, apiMinor)],
    [
      "POST /containers/{id}/resize",
      async ({ params, query }) => {
        const record = find(params);
        if (record.phase !== "running")
          throw conflict(`cannot resize a stopped container: container ${record.id} is not running`);
        const streams = await parts.runtime.attach(record.id);
        streams.resize(terminalSize(query));
        streams.stdout.resume();
        streams.kill();
        return empty(200);
      },
    ],
  ];
}

export function terminalSize(query: Query): { readonly columns: number; readonly rows: number } {
  const [columns, rows] = [query.number("w") ?? 0, query.number("h") ?? 0];
  for (const size of [columns, rows])
    if (!Number.isInteger(size) || size < 0 || size > 65535)
      throw badRequest(`a terminal cannot be ${columns} by ${rows}`);
  return { columns, rows };
}

/** What a client without a terminal is told to expect: older ones know no other word. */
export function streamType(terminal: boolean, apiMinor: number): string {
  return terminal || apiMinor < 42 ? "application/vnd.docker.raw-stream" : "application/vnd.docker.multiplexed-stream";
}

function attach(
  door: Door,
  record: ContainerRecord,
  { query, signal }: Call,
  form: "framed" | "plain",
): { readonly run: Extract<Reply, { type: "hijack" }>["run"] } {
  const { containers, parts } = door;
  const { Tty, OpenStdin, StdinOnce } = record.config;
  const terminal = Tty || form === "plain";
  if (record.paused) throw conflict(`container ${record.id} is paused, unpause the container before attach`);
  const wanted = {
    stdin: query.flag("stdin") && OpenStdin,
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
  };
  const detachKeys = wanted.stdin && Tty ? parseDetachKeys(query.text("detachKeys")) : undefined;
  const isStream = query.flag("stream");
  const running = record.phase === "running";
  // Before the client is told to go on: it starts the container next.
  const process = !isStream
    ? undefined
    : running
      ? parts.runtime.attach(record.id)
      : containers.life.attachments.wait(record.id, signal);
  process?.catch(() => {});
  return {
    run: async (client, gone) => {
      if (query.flag("logs")) {
        const sink = logSink({
          out: client,
          terminal,
          timestamps: false,
          sinceMs: undefined,
          untilMs: undefined,
          ...wanted,
        });
        await readLog(
          { tailLines: undefined, follow: false },
          { path: containers.logPath(record), live: () => false },
          sink,
          gone,
        );
      }
      const streams = await process;
      if (streams === undefined) return;
      parts.events.emit("container", "attach", record.id, { image: record.config.Image, name: record.name });
      const how = await joinStreams(
        streams,
        client,
        { ...wanted, terminal, closeStdin: StdinOnce && !Tty, detachKeys },
        gone,
      );
      if (how === "ended") return;
      if (how === "detached")
        parts.events.emit("container", "detach", record.id, { image: record.config.Image, name: record.name });
      if (wanted.stdin && StdinOnce && !Tty && how === "gone") streams.stdin?.end();
      streams.kill();
    },
  };
}

async function logs(door: Door, record: ContainerRecord, query: Query, apiMinor: number): Promise<Reply> {
  const { containers, parts } = door;
  const wanted = { stdout: query.flag("stdout"), stderr: query.flag("stderr") };
  if (!wanted.stdout && !wanted.stderr) throw badRequest("Bad parameters: you must choose at least one stream");
  if (record.hostConfig.LogConfig.Type === "none")
    throw new DockerProblem(500, "configured logging driver does not support reading");
  const nowMs = parts.clock.now();
  const tail = query.text("tail");
  const tailLines = tail === "" || tail === "all" || !/^\d+$/.test(tail) ? undefined : Number(tail);
  const sinceMs = sinceOf(query.text("since"), nowMs);
  const untilMs = sinceOf(query.text("until"), nowMs);
  return {
    type: "stream",
    contentType: streamType(record.config.Tty, apiMinor),
    write: async (out, signal) => {
      const stop = new AbortController();
      const waitMs = untilMs === undefined ? undefined : untilMs - nowMs;
      const timer = waitMs === undefined ? undefined : parts.clock.after(Math.max(0, waitMs), () => stop.abort());
      const sink = logSink({
        out,
        terminal: record.config.Tty,
        timestamps: query.flag("timestamps"),
        sinceMs,
        untilMs,
        ...wanted,
      });
      const live = () => {
        const now = parts.store.get(record.id);
        return now !== undefined && (now.phase === "running" || containers.life.live(record.id).restarting);
      };
      const source = { path: containers.logPath(record), live };
      await readLog({ tailLines, follow: query.flag("follow") }, source, sink, AbortSignal.any([signal, stop.signal]));
      timer?.cancel();
    },
  };
}

// 0 is what clients send for "not asked".
function sinceOf(text: string, nowMs: number): number | undefined {
  const ms = parseTime(text, nowMs);
  return ms === 0 ? undefined : ms;
}

interface SinkOptions {
  readonly out: Writable;
  readonly terminal: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

const gatherBytes = 32 * 1024;

// Lines as frames, several of them in one write.
function logSink(options: SinkOptions): LogSink {
  const { out, sinceMs, untilMs } = options;
  let parts: Buffer[] = [];
  let bytes = 0;
  let full = false;
  const midLine = { stdout: false, stderr: false };
  const flush = async () => {
    if (parts.length === 0) return;
    const all = Buffer.concat(parts);
    parts = [];
    bytes = 0;
    await writeTo(out, all);
  };
  return {
    get full() {
      return full;
    },
    take: async (record: LogRecord) => {
      const { stream, text } = record;
      const continues = midLine[stream];
      midLine[stream] = !record.full;
      if (!options[stream]) return;
      const at = sinceMs === undefined && untilMs === undefined ? 0 : Date.parse(record.time);
      if (sinceMs !== undefined && at < sinceMs) return;
      if (untilMs !== undefined && at > untilMs) {
        full = true;
        return;
      }
      const head = options.timestamps && !continues ? [Buffer.from(`${record.time} `)] : [];
      const line = Buffer.concat([...head, text, ...(record.full ? [Buffer.from("\n")] : [])]);
      const framed = options.terminal ? line : frame(stream, line);
      parts.push(framed);
      bytes += framed.length;
      if (bytes >= gatherBytes) await flush();
    },
    flush,
  };
}
