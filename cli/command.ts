// What a subcommand is: one file in commands/ and one line in commands.ts. Parsing, help and completion are written once over this.
import { parseArgs } from "node:util";
import { nearest } from "../lib/similar.ts";

export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: boolean;
  readonly default?: string;
  /** What stands for the value in help, such as "FILE". */
  readonly value?: string;
  readonly help: string;
  /** What the shell offers for the value; files when absent. */
  readonly complete?: Completion;
}

/** Words that the shell can offer: some words themselves, kinds, or names of objects that the cluster has. */
export type Completion =
  | { readonly type: "words"; readonly words: readonly string[] }
  | { readonly type: "kinds" }
  /** Names of the kind that was named before. */
  | { readonly type: "names" }
  /** "kind/name"; `bare`: objects of the first kind also by their name alone. */
  | { readonly type: "targets"; readonly kinds: readonly string[]; readonly bare?: true }
  | { readonly type: "objects"; readonly kind: string }
  | { readonly type: "files" };

export type Options = Readonly<Record<string, Option>>;

export interface Invocation {
  readonly positionals: readonly string[];
  /** What stands behind "--". */
  readonly rest: readonly string[];
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  flag(name: string): boolean;
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Behind "naru", such as "scale KIND/NAME --replicas N". */
  readonly usage: string;
  readonly examples: readonly string[];
  readonly options: Options;
  /** A signal is its end, not its interruption; that nobody reads any more what it prints is none. */
  readonly runsUntilSignalled?: true;
  /** What the shell offers for each argument; the last one goes on for those that follow. */
  readonly arguments?: readonly Completion[];
  /** Behind how many of these words another program's command begins, without "--" before it; undefined: nowhere. */
  readonly commandBehind?: (words: readonly string[]) => number | undefined;
  /** Resolves with the exit code; undefined is 0. */
  readonly run: (invocation: Invocation) => Promise<number | undefined>;
}

/** Wrong usage: told with a hint to the help, exit code 2. */
export class UsageError extends Error {}

export const connectionOptions: Options = {
  kubeconfig: {
    type: "string",
    value: "FILE",
    help: "cluster and credentials (default: $KUBECONFIG, the running `naru up`, ~/.kube/config)",
  },
};

export const namespaceOptions: Options = {
  namespace: {
    type: "string",
    short: "n",
    value: "NAME",
    help: "namespace (default: default)",
    complete: { type: "objects", kind: "namespaces" },
  },
};

export const logLevels: Completion = { type: "words", words: ["debug", "info", "warn", "error"] };

/** Splits arguments by the command's options. */
export function parseInvocation(command: Command, args: readonly string[], signal: AbortSignal): Invocation {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }), ...(multiple === undefined ? {} : { multiple }) },
    ]),
  );
  const end = commandAt(command, args, options);
  const own = end < 0 ? args : args.slice(0, end);
  const rest = end < 0 ? [] : args.slice(end);
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...own], options, allowPositionals: true, strict: true }) as typeof parsed;
  } catch (error) {
    throw new UsageError(explainParse(command, error));
  }
  const value = (name: string) => parsed.values[name] ?? command.options[name]?.default;
  return {
    positionals: parsed.positionals,
    rest: rest[0] === "--" ? rest.slice(1) : rest,
    text: (name) => (value(name) === undefined ? undefined : String(value(name))),
    texts: (name) => {
      const given = value(name);
      return given === undefined ? [] : Array.isArray(given) ? given.map(String) : [String(given)];
    },
    flag: (name) => value(name) === true,
    signal,
  };
}

/** Where another program's words begin: at "--", or behind as many positionals as the command says. */
function commandAt(command: Command, args: readonly string[], options: ParsedOptions): number {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  if (command.commandBehind === undefined) return end;
  const { tokens } = parseArgs({ args: [...own], options, allowPositionals: true, strict: false, tokens: true });
  const words = tokens.filter((token) => token.kind === "positional");
  const count = command.commandBehind(words.map(({ value }) => value));
  const last = count === undefined ? undefined : words[count - 1];
  return last === undefined || last.index + 1 >= own.length ? end : last.index + 1;
}

type ParsedOptions = NonNullable<Parameters<typeof parseArgs>[0]>["options"];

// Node's words, or a better one for what was probably meant.
function explainParse(command: Command, error: unknown): string {
  const message = error instanceof Error ? (error.message.split(". To specify")[0] ?? "") : String(error);
  const [, valueless, missing] =
    /^Option '(?:-\w, )?--([\w-]+)[^']*' argument (is ambiguous|missing)/.exec(message) ?? [];
  if (valueless !== undefined) {
    const { value = "VALUE" } = command.options[valueless] ?? {};
    const dashed = missing === "missing" ? "" : `; one that begins with "-" is written --${valueless}=-…`;
    return `--${valueless} takes a value: --${valueless} ${value}${dashed}`;
  }
  const unknown = /^Unknown option '--?([^']+)'/.exec(message)?.[1];
  if (unknown === undefined) return message;
  const near = nearest(unknown, Object.keys(command.options));
  const dashes = unknown.length === 1 ? "-" : "--";
  return `there is no option ${dashes}${unknown}${near === undefined ? "" : `; did you mean --${near}?`}`;
}

/** A whole number from an option; refuses anything else. */
export function numberOption(invocation: Invocation, name: string): number | undefined {
  const text = invocation.text(name);
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} takes a whole number, got ${JSON.stringify(text)}`);
  return Number(text);
}

export function helpOf(command: Command): string {
  const rows = Object.entries(command.options).map(([name, { short, value, help }]) => [
    `  ${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`,
    help,
  ]);
  const width = Math.max(0, ...rows.map(([left]) => (left ?? "").length));
  return [
    `${command.summary}`,
    "",
    `Usage: naru ${command.usage}`,
    ...(rows.length === 0
      ? []
      : ["", "Options:", ...rows.map(([left = "", help]) => `${left.padEnd(width)}  ${help}`)]),
    ...(command.examples.length === 0 ? [] : ["", "Examples:", ...command.examples.map((example) => `  ${example}`)]),
    "",
  ].join("\n");
}
