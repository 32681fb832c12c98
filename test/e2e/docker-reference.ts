// The page that lists docker's commands and flags with what they print here: read, written, and compared with the help of the command.
export interface Row {
  /** "--name" of a command, "ls" of a group, "" of a command without flags. */
  readonly flag: string;
  /** A line for the shell; or "see --other", where that one's line shows it, too. */
  readonly typed: string;
  readonly printed: string;
}

export interface Section {
  /** "run", "network create"; of what is refused as a whole the group, "swarm". */
  readonly command: string;
  readonly rows: readonly Row[];
}

const cell = /((?:[^|\\]|\\.)*)\|/g;

export function readPage(text: string): readonly Section[] {
  return text
    .split(/^## docker /m)
    .slice(1)
    .map((part) => ({
      command: part.slice(0, part.indexOf("\n")),
      rows: part.split("\n").filter(isRow).map(readRow),
    }));
}

function isRow(line: string): boolean {
  return line.startsWith("| ") && !line.startsWith("| flag ");
}

function readRow(line: string): Row {
  const [flag = "", typed = "", printed = ""] = [...line.slice(1).matchAll(cell)].map(([, text = ""]) =>
    text
      .trim()
      .replace(/^`(.*)`$/s, "$1")
      .replaceAll("\\|", "|"),
  );
  return { flag, typed, printed };
}

/** The page with other outputs; its words stay. */
export function writePage(text: string, printed: ReadonlyMap<string, string>): string {
  return text
    .split("\n")
    .map((line) => {
      if (!isRow(line)) return line;
      const { flag, typed } = readRow(line);
      const output = printed.get(typed) ?? "";
      const cells = [code(flag), typed.startsWith("see ") ? typed : code(typed), code(output)];
      return `| ${cells.join(" | ")} |`;
    })
    .join("\n");
}

function code(text: string): string {
  return text === "" ? "" : `\`${text.replaceAll("|", "\\|").replaceAll("`", "'")}\``;
}

/** What a help text offers: flags of a command, commands of a group. */
export function readHelp(text: string): { readonly flags: readonly string[]; readonly commands: readonly string[] } {
  const flags = [...text.matchAll(/^\s+(?:-\w, )?(--[\w-]+)/gm)].map(([, flag = ""]) => flag);
  const commands = [...text.matchAll(/^[\w ]*Commands:\n((?: {2}\S.*\n?)+)/gm)].flatMap(([, lines = ""]) =>
    [...lines.matchAll(/^ {2}([\w-]+)\*? {2,}/gm)].map(([, name = ""]) => name),
  );
  return { flags, commands };
}

/** Without what differs from run to run. */
export function normalize(output: string, names: Readonly<Record<string, string>>): string {
  const named = Object.entries(names).reduce((text, [name, value]) => text.replaceAll(value, name), output);
  return named
    .replace(
      /^(?:DEPRECATED: The legacy builder|\s+(?:environment-variable|Install the buildx|https:)|\s+BuildKit is).*$/gm,
      "",
    )
    .replace(/\n\n?Run 'docker .*--help' for more information/g, "")
    .replace(/sha256:[0-9a-f]{12,64}/g, "sha256:…")
    .replace(/\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b/g, "ID")
    .replace(/\b[\d.]+ ?[kMG]?B\b/g, "SIZE")
    .trim()
    .replace(/\s*\n\s*/g, " ⏎ ")
    .slice(0, 240);
}
