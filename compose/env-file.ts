// The .env format: NAME=value lines, comments, quotes. Quoted values may go over several lines; single quotes take everything as it stands.

import { interpolate, type Variables } from "./interpolate.ts";
import { ComposeError, type Place } from "./nodes.ts";

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:]\s*(.*))?$/s;

/** Variables of the file's text; `known` are those that values may refer to. Throws a ComposeError for a line that assigns nothing. */
export function parseEnvFile(text: string, file: string, known: Variables = {}): Variables {
  const variables: Record<string, string> = {};
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const place = { file, line: at + 1, column: 1 };
    let line = (lines[at] ?? "").trim();
    if (line === "" || line.startsWith("#")) continue;
    const [, name, start] = assignment.exec(line) ?? [];
    if (name === undefined) throw new ComposeError(place, `expected NAME=value, got ${JSON.stringify(line)}`);
    if (start === undefined) {
      const value = known[name];
      if (value !== undefined) variables[name] = value;
      continue;
    }
    const quote = /^["']/.exec(start)?.[0];
    let rest = start;
    while (quote !== undefined && !closes(rest, quote)) {
      at++;
      if (at >= lines.length) throw new ComposeError(place, `the value of ${name} lacks its closing ${quote}`);
      line = lines[at] ?? "";
      rest += `\n${line}`;
    }
    variables[name] = readValue(rest, place, { ...variables, ...known });
  }
  return variables;
}

function closes(rest: string, quote: string): boolean {
  return new RegExp(`^${quote}(?:\\\\.|[^\\\\${quote}])*${quote}`, "s").test(rest);
}

function readValue(rest: string, place: Place, variables: Variables): string {
  const expand = (value: string) => interpolate(value, place, { variables, onUnset: () => {} });
  const [, quote, inner = "", behind = ""] = /^(["'])((?:\\.|(?!\1)[^\\])*)\1(.*)$/s.exec(rest) ?? [];
  if (quote === undefined) return expand(rest.replace(/(?:^|\s+)#.*$/, "").trim());
  if (!/^\s*(?:#.*)?$/s.test(behind))
    throw new ComposeError(place, `unexpected ${JSON.stringify(behind.trim())} behind the closing ${quote}`);
  if (quote === "'") return inner.replace(/\\'/g, "'");
  return expand(inner.replace(/\\([nrt"\\$])/g, (_, letter: string) => escapes[letter] ?? letter));
}

/** A dollar sign that is escaped starts no variable. */
const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", $: "$$" };
