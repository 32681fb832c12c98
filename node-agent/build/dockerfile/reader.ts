// What the readers of single instructions share: refusals with a place, flags, lists in JSON. Pure.
import { DockerfileError } from "../build.ts";
import type { CommandLine } from "./instructions.ts";
import { positionAt, type RawInstruction } from "./lines.ts";
import { splitWords } from "./words.ts";

export interface Source {
  readonly raw: RawInstruction;
  readonly file: string;
  readonly escapeMark: "\\" | "`";
}

export interface Flag {
  readonly name: string;
  readonly value: string | undefined;
  readonly offset: number;
}

/** What stands behind the flags. */
export interface Rest {
  readonly text: string;
  readonly offset: number;
}

export function refuse({ raw, file }: Source, message: string, offset = 0): never {
  throw new DockerfileError(`${raw.keyword}: ${message}`, file, positionAt(raw, offset));
}

/** Takes the leading --name=value; refuses those that are not known, and a second one of most. */
export function readFlags(
  source: Source,
  known: readonly string[],
  repeatable: readonly string[] = [],
): { readonly flags: readonly Flag[]; readonly rest: Rest } {
  const { text } = source.raw;
  const flags: Flag[] = [];
  let at = 0;
  for (const { word, offset } of splitWords(text, source.escapeMark)) {
    const [, name, , value] = /^--([a-zA-Z][\w.-]*)(=([\s\S]*))?$/.exec(word) ?? [];
    if (name === undefined) {
      at = offset;
      break;
    }
    if (!known.includes(name))
      refuse(
        source,
        `does not know --${name}${known.length === 0 ? "" : `; it takes ${known.map((each) => `--${each}`).join(", ")}`}`,
        offset,
      );
    if (!repeatable.includes(name) && flags.some((flag) => flag.name === name))
      refuse(source, `--${name} is given twice`, offset);
    flags.push({ name, value, offset });
    at = offset + word.length;
  }
  const behind = text.slice(at);
  const lead = behind.length - behind.trimStart().length;
  return { flags, rest: { text: behind.trim(), offset: at + lead } };
}

export function flagValue(source: Source, flags: readonly Flag[], name: string): string | undefined {
  const flag = flags.find((each) => each.name === name);
  if (flag === undefined) return undefined;
  if (flag.value === undefined || flag.value === "")
    refuse(source, `--${name} takes a value: --${name}=…`, flag.offset);
  return flag.value;
}

export function truthOf(source: Source, flags: readonly Flag[], name: string): boolean | undefined {
  const flag = flags.find((each) => each.name === name);
  if (flag === undefined) return undefined;
  if (flag.value === undefined || flag.value === "true" || flag.value === "1") return true;
  if (flag.value === "false" || flag.value === "0") return false;
  return refuse(source, `--${name} takes true or false, got ${JSON.stringify(flag.value)}`, flag.offset);
}

/** The words of a JSON list of strings; undefined when it is none. */
export function readList(text: string): readonly string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  return Array.isArray(parsed) && parsed.every((item) => typeof item === "string") ? parsed : undefined;
}

export function readCommand(text: string): CommandLine {
  const args = readList(text);
  return args === undefined ? { form: "shell", line: text } : { form: "exec", args };
}

export function demand(source: Source, rest: Rest, what: string): string {
  if (rest.text === "") refuse(source, `${what} is expected`, rest.offset);
  return rest.text;
}

const durationUnits: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's notation: "1m30s". Undefined when it is none. */
export function readDurationNs(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return text === "0" ? 0 : undefined;
  let sum = 0;
  for (const [, number = "0", , unit = "s"] of text.matchAll(/(\d+(\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(number) * (durationUnits[unit] ?? 0);
  return sum;
}
