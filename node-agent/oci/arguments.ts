// The command line: options before the command are for all of them, those behind it its own. Pure.

export interface OptionSpec {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What its value is called; absent: a flag. */
  readonly value?: string;
  readonly help: string;
}

export interface Arguments {
  readonly flags: ReadonlySet<string>;
  /** In the order of the line, for those that may come again. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
}

/** Reads options up to the first word that is none, or with `interleaved` wherever they are up to "--". Throws on unknown ones. */
export function parseArguments(
  words: readonly string[],
  specs: readonly OptionSpec[],
  options: { readonly interleaved: boolean },
): Arguments {
  const flags = new Set<string>();
  const values = new Map<string, readonly string[]>();
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") return { flags, values, rest: [...rest, ...words.slice(i + 1)] };
    if (!word.startsWith("-") || word === "-") {
      if (!options.interleaved) return { flags, values, rest: words.slice(i) };
      rest.push(word);
      continue;
    }
    const { spec, inline } = find(word, specs);
    if (spec.value === undefined) {
      if (inline === undefined || inline === "true") flags.add(spec.name);
      continue;
    }
    const value = inline ?? words[++i];
    if (value === undefined) throw new Error(`--${spec.name} needs a ${spec.value}`);
    values.set(spec.name, [...(values.get(spec.name) ?? []), value]);
  }
  return { flags, values, rest };
}

export function optionValue(args: Arguments, name: string): string | undefined {
  return args.values.get(name)?.at(-1);
}

function find(
  word: string,
  specs: readonly OptionSpec[],
): { readonly spec: OptionSpec; readonly inline: string | undefined } {
  const at = word.indexOf("=");
  const name = at === -1 ? word : word.slice(0, at);
  // Go's flags take one dash or two for long names.
  const spec = specs.find(
    (one) => name === `--${one.name}` || name === `-${one.name}` || name === `-${one.short ?? one.name}`,
  );
  if (spec === undefined) throw new Error(`unknown option ${name}; see naru-oci --help`);
  return { spec, inline: at === -1 ? undefined : word.slice(at + 1) };
}
