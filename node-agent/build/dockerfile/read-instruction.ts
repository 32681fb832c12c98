// Each instruction's own grammar, one entry a keyword. Pure.
import { DockerfileError } from "../build.ts";
import type { CopyBody, InstructionBody, Pair } from "./instructions.ts";
import { withoutHeredocs } from "./lines.ts";
import {
  demand,
  type Flag,
  flagValue,
  type Rest,
  readCommand,
  readDurationNs,
  readFlags,
  readList,
  refuse,
  type Source,
  truthOf,
} from "./reader.ts";
import { readMount } from "./run-mounts.ts";
import { splitWords } from "./words.ts";

const readers: Readonly<Record<string, (source: Source) => InstructionBody>> = {
  FROM: readFrom,
  ARG: readArg,
  ENV: (source) => ({ kind: "ENV", pairs: readPairs(source) }),
  LABEL: (source) => ({ kind: "LABEL", pairs: readPairs(source) }),
  MAINTAINER: (source) => ({ kind: "MAINTAINER", name: demand(source, plain(source), "a name") }),
  RUN: readRun,
  COPY: (source) => readCopy(source, "COPY"),
  ADD: (source) => readCopy(source, "ADD"),
  CMD: (source) => ({ kind: "CMD", command: readCommand(plain(source).text) }),
  ENTRYPOINT: (source) => ({ kind: "ENTRYPOINT", command: readCommand(plain(source).text) }),
  WORKDIR: (source) => ({ kind: "WORKDIR", path: demand(source, plain(source), "a path") }),
  USER: (source) => ({ kind: "USER", user: oneWord(source, "a user") }),
  STOPSIGNAL: (source) => ({ kind: "STOPSIGNAL", signal: oneWord(source, "a signal") }),
  EXPOSE: (source) => ({ kind: "EXPOSE", ports: someWords(source, "a port") }),
  VOLUME: readVolume,
  SHELL: readShell,
  HEALTHCHECK: readHealthcheck,
  ONBUILD: readOnbuild,
};

/** Throws DockerfileError. */
export function readInstruction(source: Source): InstructionBody {
  const { keyword, position } = source.raw;
  const reader = readers[keyword];
  if (reader === undefined)
    throw new DockerfileError(
      `unknown instruction ${keyword.slice(0, 50)}${nearest(keyword)}; expected one of ${Object.keys(readers).join(", ")}`,
      source.file,
      position,
    );
  return reader(source);
}

function plain(source: Source): Rest {
  return { text: source.raw.text, offset: 0 };
}

function readFrom(source: Source): InstructionBody {
  const { flags, rest } = readFlags(source, ["platform"]);
  const words = splitWords(demand(source, rest, "an image, such as alpine:3.20, or scratch"), source.escapeMark);
  const [image, as, name, more] = words.map(({ word }) => word);
  if (words.length !== 1 && (words.length !== 3 || as?.toLowerCase() !== "as" || more !== undefined))
    refuse(source, "takes an image, and perhaps AS and a name", rest.offset + (words[1]?.offset ?? 0));
  if (name !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(name.toLowerCase()))
    refuse(
      source,
      `${JSON.stringify(name)} cannot name a stage: letters, digits, - _ . are expected`,
      rest.offset + (words[2]?.offset ?? 0),
    );
  return {
    kind: "FROM",
    image: image ?? "",
    platform: flagValue(source, flags, "platform"),
    name: name?.toLowerCase(),
  };
}

function readArg(source: Source): InstructionBody {
  const words = splitWords(demand(source, plain(source), "a name"), source.escapeMark);
  return {
    kind: "ARG",
    args: words.map(({ word, offset }) => {
      const equals = word.indexOf("=");
      const name = equals < 0 ? word : word.slice(0, equals);
      if (!/^[A-Za-z_]\w*$/.test(name)) refuse(source, `${JSON.stringify(name)} cannot name an argument`, offset);
      return { name, value: equals < 0 ? undefined : word.slice(equals + 1) };
    }),
  };
}

// KEY=value …, or the old form KEY and all that follows.
function readPairs(source: Source): readonly Pair[] {
  const text = demand(source, plain(source), "KEY=value");
  const words = splitWords(text, source.escapeMark);
  const [first] = words;
  if (first !== undefined && !first.word.includes("=")) {
    const value = text.slice(first.word.length).trim();
    if (value === "")
      refuse(source, `${JSON.stringify(first.word)} has no value: ${first.word}=value is expected`, first.offset);
    return [{ key: first.word, value }];
  }
  return words.map(({ word, offset }) => {
    const equals = word.indexOf("=");
    if (equals < 1)
      refuse(source, `${JSON.stringify(word)} is not KEY=value: a value with blanks stands in quotes`, offset);
    return { key: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

function readRun(source: Source): InstructionBody {
  const { flags, rest } = readFlags(source, ["mount", "network", "security"], ["mount"]);
  const network = flagValue(source, flags, "network");
  if (network !== undefined && network !== "default" && network !== "none" && network !== "host")
    refuse(source, `--network takes default, none or host, got ${JSON.stringify(network)}`, offsetOf(flags, "network"));
  if ((flagValue(source, flags, "security") ?? "sandbox") !== "sandbox")
    refuse(
      source,
      "--security=insecure is not granted by Naru: steps are confined like any container",
      offsetOf(flags, "security"),
    );
  return {
    kind: "RUN",
    command: readCommand(demand(source, rest, "a command")),
    mounts: flags.filter(({ name }) => name === "mount").map((flag) => readMount(source, flag)),
    network,
    heredocs: source.raw.heredocs,
  };
}

function readCopy(source: Source, kind: CopyBody["kind"]): InstructionBody {
  const own = kind === "COPY" ? ["from", "parents"] : ["checksum", "unpack", "keep-git-dir"];
  const { flags, rest } = readFlags(source, ["chown", "chmod", "link", "exclude", ...own], ["exclude"]);
  const text = source.raw.heredocs.length > 0 ? withoutHeredocs(rest.text) : rest.text;
  const words = readList(rest.text) ?? splitWords(text, source.escapeMark).map(({ word }) => word);
  const destination = words.at(-1);
  if (destination === undefined || words.length + source.raw.heredocs.length < 2)
    return refuse(source, "takes at least one source, and a destination", rest.offset);
  return {
    kind,
    sources: words.slice(0, -1),
    destination,
    heredocs: source.raw.heredocs,
    from: flagValue(source, flags, "from"),
    chown: flagValue(source, flags, "chown"),
    chmod: flagValue(source, flags, "chmod"),
    link: truthOf(source, flags, "link") ?? false,
    parents: truthOf(source, flags, "parents") ?? false,
    exclude: flags.flatMap(({ name, value }) => (name === "exclude" && value !== undefined ? [value] : [])),
    checksum: flagValue(source, flags, "checksum"),
    unpack: truthOf(source, flags, "unpack"),
    keepGitDir: truthOf(source, flags, "keep-git-dir") ?? false,
  };
}

function readVolume(source: Source): InstructionBody {
  const paths = readList(source.raw.text) ?? someWords(source, "a path");
  if (paths.some((path) => path.trim() === "")) refuse(source, "a path is expected, got an empty one");
  return { kind: "VOLUME", paths };
}

function readShell(source: Source): InstructionBody {
  const args = readList(source.raw.text);
  if (args === undefined || args.length === 0)
    return refuse(source, 'a list in JSON is expected, such as ["/bin/bash", "-c"]');
  return { kind: "SHELL", args };
}

function readHealthcheck(source: Source): InstructionBody {
  const { flags, rest } = readFlags(source, ["interval", "timeout", "start-period", "start-interval", "retries"]);
  const duration = (name: string) => {
    const text = flagValue(source, flags, name);
    const ns = text === undefined ? 0 : readDurationNs(text);
    if (ns === undefined || (ns !== 0 && ns < 1e6))
      return refuse(
        source,
        `--${name} takes a time of 1ms or more, as 30s, got ${JSON.stringify(text)}`,
        offsetOf(flags, name),
      );
    return ns;
  };
  const times = {
    intervalNs: duration("interval"),
    timeoutNs: duration("timeout"),
    startPeriodNs: duration("start-period"),
    startIntervalNs: duration("start-interval"),
  };
  const retries = flagValue(source, flags, "retries") ?? "0";
  if (!/^\d{1,9}$/.test(retries))
    refuse(source, `--retries takes a number, got ${JSON.stringify(retries)}`, offsetOf(flags, "retries"));
  const base = { kind: "HEALTHCHECK" as const, ...times, retries: Number(retries) };
  const [, word = "", line = ""] = /^(\S+)\s*([\s\S]*)$/.exec(demand(source, rest, "CMD and a command, or NONE")) ?? [];
  if (word.toUpperCase() === "NONE") return { ...base, command: undefined };
  if (word.toUpperCase() !== "CMD") refuse(source, `CMD or NONE is expected, got ${JSON.stringify(word)}`, rest.offset);
  if (line === "") refuse(source, "a command is expected behind CMD", rest.offset + word.length);
  return { ...base, command: readCommand(line) };
}

function readOnbuild(source: Source): InstructionBody {
  const trigger = demand(source, plain(source), "an instruction");
  const [keyword = ""] = trigger.split(/\s/);
  if (["ONBUILD", "FROM", "MAINTAINER"].includes(keyword.toUpperCase()))
    refuse(source, `${keyword.toUpperCase()} cannot be a trigger`);
  if (readers[keyword.toUpperCase()] === undefined) refuse(source, `unknown instruction ${keyword}`);
  const heredocs = source.raw.heredocs.map(({ name, content }) => `${content}${name}\n`);
  return { kind: "ONBUILD", trigger: [trigger, ...heredocs].join("\n") };
}

function oneWord(source: Source, what: string): string {
  const words = someWords(source, what);
  if (words.length !== 1) refuse(source, `takes ${what} and nothing else`);
  return words[0] ?? "";
}

function someWords(source: Source, what: string): readonly string[] {
  return splitWords(demand(source, plain(source), what), source.escapeMark).map(({ word }) => word);
}

function offsetOf(flags: readonly Flag[], name: string): number {
  return flags.find((flag) => flag.name === name)?.offset ?? 0;
}

// A letter wrong, missing or too many: what was meant.
function nearest(keyword: string): string {
  const found = Object.keys(readers).find((known) => distance(known, keyword) <= (known.length > 3 ? 2 : 1));
  return found === undefined ? "" : ` (did you mean ${found}?)`;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
