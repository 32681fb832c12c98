// What could follow the words of an unfinished command line, from the commands' own data and the cluster's objects.
import type { Command, Completion } from "./command.ts";

export interface CompletionSources {
  readonly commands: readonly { readonly name: string; readonly load: () => Promise<Command> }[];
  readonly kinds: readonly string[];
  /** Names of all objects of a kind, in the namespace that the words name; none when the cluster does not answer. */
  readonly namesOf: (kind: string, namespace: string | undefined) => Promise<readonly string[]>;
}

/** `words`: all after "naru", the last one unfinished or empty. Nothing: the shell offers files. */
export async function completeWords(words: readonly string[], sources: CompletionSources): Promise<readonly string[]> {
  const current = words.at(-1) ?? "";
  const offer = (offered: readonly string[]) => offered.filter((word) => word.startsWith(current));
  if (words.length <= 1) return offer([...sources.commands.map(({ name }) => name), "help", "--version"]);
  const [first, ...rest] = words.slice(0, -1);
  if (first === "help") return offer(sources.commands.map(({ name }) => name));
  const command = await sources.commands.find(({ name }) => name === first)?.load();
  if (command === undefined || rest.includes("--")) return [];
  const read = readWords(command, rest);
  if (read.open !== undefined)
    return read.open.complete === undefined ? [] : offer(await wordsOf(read.open.complete, read, sources));
  if (current.startsWith("-")) return offer([...Object.keys(command.options).map((name) => `--${name}`), "--help"]);
  const wanted = command.arguments?.[Math.min(read.positionals.length, command.arguments.length - 1)];
  return wanted === undefined ? [] : offer(await wordsOf(wanted, { ...read, current }, sources));
}

interface ReadWords {
  readonly positionals: readonly string[];
  readonly namespace: string | undefined;
  /** The option whose value comes next. */
  readonly open: Command["options"][string] | undefined;
  readonly current?: string;
}

// Unlike the parser it takes half a line.
function readWords(command: Command, words: readonly string[]): ReadWords {
  const positionals: string[] = [];
  let namespace: string | undefined;
  let open: ReadWords["open"];
  let openName = "";
  for (const word of words) {
    if (open !== undefined) {
      if (openName === "namespace") namespace = word;
      open = undefined;
    } else if (word.startsWith("-") && word !== "-") {
      const [, name = "", value] = /^--?([^=]*)(?:=(.*))?$/.exec(word) ?? [];
      const found = Object.entries(command.options).find(([long, { short }]) => long === name || short === name);
      if (found?.[0] === "namespace" && value !== undefined) namespace = value;
      if (found?.[1].type === "string" && value === undefined) [openName, open] = found;
    } else positionals.push(word);
  }
  return { positionals, namespace, open };
}

async function wordsOf(wanted: Completion, read: ReadWords, sources: CompletionSources): Promise<readonly string[]> {
  const { current = "", namespace, positionals } = read;
  const targets = async (kind: string, as: string) =>
    (await sources.namesOf(kind, namespace)).map((name) => `${as}/${name}`);
  switch (wanted.type) {
    case "words":
      return wanted.words;
    case "files":
      return [];
    case "objects":
      return sources.namesOf(wanted.kind, namespace);
    case "kinds":
      return current.includes("/") ? targets(kindOf(current), kindOf(current)) : [...sources.kinds, "all"];
    case "names": {
      const [kind = ""] = positionals;
      return kind.includes("/") ? targets(kindOf(current), kindOf(current)) : sources.namesOf(kind, namespace);
    }
    case "targets": {
      if (current.includes("/")) return targets(kindOf(current), kindOf(current));
      const [first = ""] = wanted.kinds;
      const bare = wanted.bare === true ? await sources.namesOf(first, namespace) : [];
      return [...bare, ...wanted.kinds.map((kind) => `${kind.replace(/s$/, "")}/`)];
    }
    default:
      return wanted satisfies never;
  }
}

function kindOf(word: string): string {
  return word.split("/")[0] ?? "";
}
