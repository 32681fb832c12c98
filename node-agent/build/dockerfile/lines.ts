// A Dockerfile's text cut into instructions: directives, comments, continued lines, heredocs. Pure.
import { DockerfileError, type Position } from "../build.ts";

export interface Heredoc {
  readonly name: string;
  /** Without the line that ends it. */
  readonly content: string;
  /** False when its word was quoted: variables stay as they are. */
  readonly expands: boolean;
}

/** One instruction, its continued lines joined. */
export interface RawInstruction {
  /** Upper case. */
  readonly keyword: string;
  /** The keyword as written. */
  readonly written: string;
  /** Behind the keyword, as written but for the joins. */
  readonly text: string;
  readonly position: Position;
  /** The last line that belongs to it. */
  readonly endLine: number;
  /** Where `text` begins, and each line of it that was joined: for columns of what is wrong within. */
  readonly pieces: readonly { readonly offset: number; readonly position: Position }[];
  readonly heredocs: readonly Heredoc[];
}

/** "# check=skip=NAME,NAME;error=true" */
export interface CheckDirective {
  /** Lower case; "all": all of them. */
  readonly skip: readonly string[];
  /** Whether what is found ends the build. */
  readonly error: boolean;
}

export interface DockerfileText {
  readonly instructions: readonly RawInstruction[];
  readonly escapeMark: "\\" | "`";
  readonly check: CheckDirective;
}

const textBytesMax = 4 * 1024 * 1024;
const heredocKeywords = new Set(["RUN", "COPY", "ADD"]);

/** Throws DockerfileError. */
export function splitDockerfile(text: string, file: string): DockerfileText {
  if (text.length > textBytesMax)
    throw new DockerfileError(`is larger than ${textBytesMax} bytes`, file, { line: 1, column: 1 });
  const lines = text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""));
  const { escapeMark, check, next } = readDirectives(lines, file);
  const instructions: RawInstruction[] = [];
  for (let at = next; at < lines.length; ) {
    const line = lines[at] ?? "";
    if (/^\s*(#.*)?$/.test(line)) {
      at++;
      continue;
    }
    const read = readInstruction(lines, at, { escapeMark, file });
    instructions.push(read);
    at = read.endLine;
  }
  return { instructions, escapeMark, check };
}

// "# escape=`" and its like, before anything else.
function readDirectives(
  lines: readonly string[],
  file: string,
): Omit<DockerfileText, "instructions"> & { readonly next: number } {
  let escapeMark: "\\" | "`" = "\\";
  let check: CheckDirective = { skip: [], error: false };
  const seen = new Set<string>();
  let next = 0;
  for (; next < lines.length; next++) {
    const [, name = "", value = ""] = /^\s*#\s*([A-Za-z][\w-]*)\s*=\s*(.+?)\s*$/.exec(lines[next] ?? "") ?? [];
    const directive = name.toLowerCase();
    if (!["escape", "syntax", "check"].includes(directive)) break;
    const position = { line: next + 1, column: 1 };
    if (seen.has(directive)) throw new DockerfileError(`only one ${directive} directive can be used`, file, position);
    seen.add(directive);
    if (directive === "check") check = readCheck(value, (message) => new DockerfileError(message, file, position));
    if (directive !== "escape") continue;
    if (value !== "\\" && value !== "`")
      throw new DockerfileError("the escape directive takes \\ or `", file, position);
    escapeMark = value;
  }
  return { escapeMark, check, next };
}

function readCheck(value: string, refusal: (message: string) => DockerfileError): CheckDirective {
  const fields = new Map(
    value.split(";").map((part) => [part.split("=", 1)[0]?.trim() ?? "", part.replace(/^[^=]*=?/, "").trim()]),
  );
  for (const name of fields.keys())
    if (name !== "skip" && name !== "error")
      throw refusal(`the check directive takes skip=NAME,NAME and error=true, got ${JSON.stringify(name)}`);
  const skip = (fields.get("skip") ?? "").split(",").map((name) => name.trim().toLowerCase());
  return { skip: skip.filter((name) => name !== ""), error: fields.get("error") === "true" };
}

function readInstruction(
  lines: readonly string[],
  start: number,
  { escapeMark, file }: { readonly escapeMark: "\\" | "`"; readonly file: string },
): RawInstruction {
  const first = lines[start] ?? "";
  const indent = first.length - first.trimStart().length;
  const [, keyword = ""] = /^(\S+)/.exec(first.slice(indent)) ?? [];
  const position = { line: start + 1, column: indent + 1 };
  const continued = new RegExp(`${escapeMark === "\\" ? "\\\\" : escapeMark}[ \\t]*$`);
  let joined = "";
  const pieces: { offset: number; position: Position }[] = [];
  let at = start;
  for (let more = true; more && at < lines.length; at++) {
    const line = lines[at] ?? "";
    // Comments and empty lines between continued lines are nothing.
    if (at > start && /^\s*(#.*)?$/.test(line)) continue;
    pieces.push({ offset: joined.length, position: { line: at + 1, column: 1 } });
    more = continued.test(line);
    joined += more ? line.replace(continued, "") : line;
  }
  const upper = keyword.toUpperCase();
  // The keyword alone may end in the escape: "RUN\".
  const name = upper.endsWith(escapeMark) ? upper.slice(0, -1) : upper;
  const behind = indent + name.length;
  const lead = joined.slice(behind).length - joined.slice(behind).trimStart().length;
  const body = joined.slice(behind + lead).trimEnd();
  const heredocs: Heredoc[] = [];
  const words = heredocKeywords.has(name) || name === "ONBUILD" ? findHeredocs(body) : [];
  for (const word of words) {
    const content: string[] = [];
    const end = (line: string) => (word.stripsTabs ? line.replace(/^\t+/, "") : line) === word.name;
    for (; at < lines.length && !end(lines[at] ?? ""); at++) {
      const line = lines[at] ?? "";
      content.push(word.stripsTabs ? line.replace(/^\t+/, "") : line);
    }
    if (at >= lines.length)
      throw new DockerfileError(`the heredoc <<${word.name} has no end: a line that is ${word.name}`, file, position);
    at++;
    heredocs.push({ name: word.name, content: content.map((line) => `${line}\n`).join(""), expands: word.expands });
  }
  return {
    keyword: name,
    written: keyword.slice(0, name.length),
    text: body,
    position,
    endLine: at,
    pieces: shiftPieces(pieces, behind + lead),
    heredocs,
  };
}

interface HeredocWord {
  readonly name: string;
  readonly stripsTabs: boolean;
  readonly expands: boolean;
}

/** The <<WORD of a line, those within quotes left out. */
export function findHeredocs(text: string): readonly HeredocWord[] {
  const found: HeredocWord[] = [];
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    if (quote !== "") {
      if (letter === "\\" && quote === '"') at++;
      else if (letter === quote) quote = "";
      continue;
    }
    if (letter === "\\") at++;
    else if (letter === '"' || letter === "'") quote = letter;
    else if (text.startsWith("<<", at) && text[at + 2] !== "<") {
      const [whole = "", dash, opening = "", name = ""] =
        /^<<(-?)(["']?)([A-Za-z_][\w.]*)\2/.exec(text.slice(at)) ?? [];
      if (whole === "") continue;
      found.push({ name, stripsTabs: dash === "-", expands: opening === "" });
      at += whole.length - 1;
    } else if (text.startsWith("<<<", at)) at += 2;
  }
  return found;
}

/** Takes the <<WORD out of a line. */
export function withoutHeredocs(text: string): string {
  return text.replace(/\d*<<-?(["']?)([A-Za-z_][\w.]*)\1/g, "").trim();
}

// Offsets from the beginning of `text` instead of the line's.
function shiftPieces(pieces: RawInstruction["pieces"], by: number): RawInstruction["pieces"] {
  return pieces.map(({ offset, position }) => {
    const start = offset - by;
    return start >= 0
      ? { offset: start, position }
      : { offset: 0, position: { ...position, column: position.column - start } };
  });
}

/** Where an offset of an instruction's text stands in the file. */
export function positionAt({ pieces, position }: RawInstruction, offset: number): Position {
  const piece = pieces.findLast((each) => each.offset <= offset);
  if (piece === undefined) return position;
  return { line: piece.position.line, column: piece.position.column + offset - piece.offset };
}
