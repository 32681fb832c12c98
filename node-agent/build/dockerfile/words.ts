// Words of an instruction as a shell would read them: quotes, escapes and variables with their forms (${x:-y}, ${x:+y}, ${x#p}, …). Pure.
import { applyPattern, WordError } from "./cut-value.ts";

/** `needed`: nothing stands there for what has no value. */
export type Lookup = (name: string, how: { readonly needed: boolean }) => string | undefined;

interface Reader {
  readonly text: string;
  readonly escapeMark: string;
  readonly lookup: Lookup;
  at: number;
}

/** One word: variables are replaced, quotes taken away. Throws WordError. */
export function expandWord(text: string, lookup: Lookup, escapeMark: string): string {
  const reader = { text, escapeMark, lookup, at: 0 };
  const result = readUntil(reader, "");
  return result;
}

/** Text where only variables mean something, such as a heredoc's. */
export function expandText(text: string, lookup: Lookup, escapeMark: string): string {
  const reader = { text, escapeMark, lookup, at: 0 };
  let result = "";
  while (reader.at < text.length) {
    const letter = text[reader.at] ?? "";
    if (letter === escapeMark && text[reader.at + 1] === "$") {
      result += "$";
      reader.at += 2;
    } else if (letter === "$") result += readVariable(reader);
    else {
      result += letter;
      reader.at++;
    }
  }
  return result;
}

/** Cuts at blanks outside of quotes; the words keep their quotes. `offset` is where each began. */
export function splitWords(
  text: string,
  escapeMark: string,
): readonly { readonly word: string; readonly offset: number }[] {
  const words: { word: string; offset: number }[] = [];
  let quote = "";
  let word = "";
  let start = -1;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    if (quote === "" && /\s/.test(letter)) {
      if (start >= 0) words.push({ word, offset: start });
      word = "";
      start = -1;
      continue;
    }
    if (start < 0) start = at;
    word += letter;
    if (letter === escapeMark && quote !== "'" && at + 1 < text.length) word += text[++at];
    else if (quote === "" && (letter === '"' || letter === "'")) quote = letter;
    else if (letter === quote) quote = "";
  }
  if (start >= 0) words.push({ word, offset: start });
  return words;
}

function readUntil(reader: Reader, end: string): string {
  let result = "";
  while (reader.at < reader.text.length) {
    const letter = reader.text[reader.at] ?? "";
    if (letter === end) return result;
    if (letter === "'") result += readSingle(reader);
    else if (letter === '"') result += readDouble(reader);
    else if (letter === "$") result += readVariable(reader);
    else if (letter === reader.escapeMark) {
      reader.at++;
      if (reader.at < reader.text.length) result += reader.text[reader.at++];
    } else {
      result += letter;
      reader.at++;
    }
  }
  if (end !== "") throw new WordError(`missing ${end}`);
  return result;
}

function readSingle(reader: Reader): string {
  const end = reader.text.indexOf("'", reader.at + 1);
  if (end < 0) throw new WordError("missing ' at the end of a quoted word");
  const inner = reader.text.slice(reader.at + 1, end);
  reader.at = end + 1;
  return inner;
}

function readDouble(reader: Reader): string {
  reader.at++;
  let result = "";
  while (reader.at < reader.text.length) {
    const letter = reader.text[reader.at] ?? "";
    if (letter === '"') {
      reader.at++;
      return result;
    }
    if (letter === "$") result += readVariable(reader);
    else if (letter === reader.escapeMark && /["$\\`]/.test(reader.text[reader.at + 1] ?? "")) {
      result += reader.text[reader.at + 1];
      reader.at += 2;
    } else {
      result += letter;
      reader.at++;
    }
  }
  throw new WordError('missing " at the end of a quoted word');
}

function readVariable(reader: Reader): string {
  const [plain, plainName = ""] =
    /^\$([A-Za-z_]\w*|[0-9@*#?!$-])/.exec(reader.text.slice(reader.at, reader.at + 300)) ?? [];
  if (plain !== undefined) {
    reader.at += plain.length;
    return reader.lookup(plainName, { needed: true }) ?? "";
  }
  if (reader.text[reader.at + 1] !== "{") {
    reader.at++;
    return "$";
  }
  const [opening, name = ""] =
    /^\$\{([A-Za-z_]\w*|[0-9@*#?!$-])/.exec(reader.text.slice(reader.at, reader.at + 300)) ?? [];
  if (opening === undefined) throw new WordError("bad substitution: a name is expected behind ${");
  reader.at += opening.length;
  const needed = !/^:?[-+?]/.test(reader.text.slice(reader.at, reader.at + 2));
  const value = reader.lookup(name, { needed });
  if (reader.text[reader.at] === "}") {
    reader.at++;
    return value ?? "";
  }
  const [operator] = /^(:[-+?]|[-+?]|##?|%%?|\/\/?)/.exec(reader.text.slice(reader.at, reader.at + 2)) ?? [];
  if (operator === undefined)
    throw new WordError(
      `bad substitution: \${${name} is followed by ${JSON.stringify(reader.text[reader.at] ?? "nothing")}; known are :- :+ :? - + ? # % /`,
    );
  reader.at += operator.length;
  if (/[-+?]/.test(operator)) {
    const word = readUntil(reader, "}");
    reader.at++;
    return chooseValue({ name, value, operator, word });
  }
  return cutValue(reader, value ?? "", operator);
}

function chooseValue(form: {
  readonly name: string;
  readonly value: string | undefined;
  readonly operator: string;
  readonly word: string;
}): string {
  const { name, value, operator, word } = form;
  const isSet = operator.startsWith(":") ? value !== undefined && value !== "" : value !== undefined;
  if (operator.endsWith("-")) return isSet ? (value ?? "") : word;
  if (operator.endsWith("+")) return isSet ? word : "";
  if (!isSet) throw new WordError(`${name}: ${word === "" ? "is not set" : word}`);
  return value ?? "";
}

// What stands behind the operator is read to its closing bracket.
function cutValue(reader: Reader, value: string, operator: string): string {
  const pattern = readPattern(reader, operator.startsWith("/") ? "/}" : "}");
  let replacement = "";
  if (reader.text[reader.at] === "/") {
    reader.at++;
    replacement = readUntil(reader, "}");
  }
  reader.at++;
  return applyPattern(value, { operator, pattern, replacement });
}

// Letters that were quoted or escaped stand for themselves in a pattern.
function readPattern(reader: Reader, ends: string): string {
  let result = "";
  const quoted = (text: string) => text.replace(/[*?\\]/g, "\\$&");
  while (reader.at < reader.text.length) {
    const letter = reader.text[reader.at] ?? "";
    if (ends.includes(letter)) return result;
    if (letter === "'") result += quoted(readSingle(reader));
    else if (letter === '"') result += quoted(readDouble(reader));
    else if (letter === "$") result += readVariable(reader);
    else if (letter === reader.escapeMark) {
      result += `\\${reader.text[reader.at + 1] ?? ""}`;
      reader.at += 2;
    } else {
      result += letter;
      reader.at++;
    }
  }
  throw new WordError("missing }");
}
