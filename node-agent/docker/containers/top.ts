// Processes of a container in ps's columns, read from /proc: no program of the node's is needed for it.
import { readFileSync } from "node:fs";
import { badRequest } from "../http/problem.ts";

export interface ProcessFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly uid: string;
  readonly state: string;
  /** 0: none. */
  readonly tty: number;
  readonly startedAtMs: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly virtualBytes: number;
  readonly nice: number;
  readonly threads: number;
  readonly command: string;
  readonly args: string;
}

export interface NodeFacts {
  readonly nowMs: number;
  readonly memoryBytes: number;
}

type Column = readonly [title: string, value: (process: ProcessFacts, node: NodeFacts) => string];

const clock = (seconds: number) =>
  [seconds / 3600, (seconds / 60) % 60, seconds % 60]
    .map((part) => String(Math.floor(part)).padStart(2, "0"))
    .join(":");
const ttyName = ({ tty }: ProcessFacts) => (tty === 0 ? "?" : `pts/${(tty & 0xff) | ((tty >>> 12) & 0xfff00)}`);
const share = ({ cpuSeconds, startedAtMs }: ProcessFacts, { nowMs }: NodeFacts) =>
  (cpuSeconds * 100_000) / Math.max(1, nowMs - startedAtMs);

/** By the names of ps -o. */
const columns: Readonly<Record<string, Column>> = {
  user: ["USER", ({ uid }) => uid],
  uid: ["UID", ({ uid }) => uid],
  pid: ["PID", ({ pid }) => String(pid)],
  ppid: ["PPID", ({ ppid }) => String(ppid)],
  c: ["C", (process, node) => String(Math.min(99, Math.floor(share(process, node))))],
  stime: ["STIME", ({ startedAtMs }) => new Date(startedAtMs).toISOString().slice(11, 16)],
  start: ["START", ({ startedAtMs }) => new Date(startedAtMs).toISOString().slice(11, 16)],
  tty: ["TTY", ttyName],
  time: ["TIME", ({ cpuSeconds }) => clock(cpuSeconds)],
  etime: ["ELAPSED", ({ startedAtMs }, { nowMs }) => clock((nowMs - startedAtMs) / 1000)],
  "%cpu": ["%CPU", (process, node) => share(process, node).toFixed(1)],
  "%mem": ["%MEM", ({ memoryBytes }, node) => ((memoryBytes * 100) / node.memoryBytes).toFixed(1)],
  vsz: ["VSZ", ({ virtualBytes }) => String(Math.floor(virtualBytes / 1024))],
  rss: ["RSS", ({ memoryBytes }) => String(Math.floor(memoryBytes / 1024))],
  stat: ["STAT", ({ state }) => state],
  ni: ["NI", ({ nice }) => String(nice)],
  nlwp: ["NLWP", ({ threads }) => String(threads)],
  comm: ["COMMAND", ({ command }) => command],
  command: ["COMMAND", ({ args }) => args],
  args: ["COMMAND", ({ args }) => args],
  cmd: ["CMD", ({ args }) => args],
};
const other: Readonly<Record<string, string>> = {
  pcpu: "%cpu",
  pmem: "%mem",
  ucmd: "comm",
  s: "stat",
  state: "stat",
  tt: "tty",
  user: "user",
};
const full = ["uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd"];
const busy = ["user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "time", "command"];

export function planTop(args: string): readonly Column[] {
  const words = args
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
  const lists: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const [, short, long, rest = ""] = /^-{0,2}(?:[aAxefwl]*(o)|(format))=?(.*)$/.exec(word) ?? [];
    if ((short ?? long) !== undefined) lists.push(rest === "" ? (words[++i] ?? "") : rest);
    else if (/^a?u?x?$/.test(word.replace(/^-/, "")) && word.includes("u")) return busy.map(columnOf);
    else if (!/^-?[efaAxlFww]+$/.test(word))
      throw badRequest(`ps option ${JSON.stringify(word)} is not supported: there are -ef, aux and -o with names`);
  }
  return (lists.length === 0 ? full : lists.flatMap((list) => list.split(","))).map(columnOf);
}

function columnOf(name: string): Column {
  const [key = "", title] = name.split("=", 2);
  const column = columns[other[key.toLowerCase()] ?? key.toLowerCase()];
  if (column === undefined)
    throw badRequest(`ps column ${JSON.stringify(key)} is not known: there are ${Object.keys(columns).join(", ")}`);
  return title === undefined ? column : [title, column[1]];
}

const ticksPerSecond = 100;
const pageBytes = 4096;

/** undefined when it has ended. */
export function readProcess(pid: number, bootedAtMs: number): ProcessFacts | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const number = (field: number) => Number(fields[field - 3]);
    const command = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    const [, uid = "0"] = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return {
      pid,
      ppid: number(4),
      uid: uid === "0" ? "root" : uid,
      state: fields[0] ?? "?",
      tty: number(7),
      startedAtMs: bootedAtMs + (number(22) * 1000) / ticksPerSecond,
      cpuSeconds: (number(14) + number(15)) / ticksPerSecond,
      virtualBytes: number(23),
      memoryBytes: number(24) * pageBytes,
      nice: number(19),
      threads: number(20),
      command,
      args: line === "" ? `[${command}]` : line,
    };
  } catch {
    return undefined;
  }
}

/** Of /proc/stat's btime, ms since the epoch. */
export function bootedAtMs(): number {
  return Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0) * 1000;
}
