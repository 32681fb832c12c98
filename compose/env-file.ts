// The .env format: KEY=value lines, comments, quotes; single quotes take everything as it stands.

import { interpolate, type Variables } from "./interpolate.ts";
import { ComposeError } from "./nodes.ts";

/** Variables of the file's text; `known` are those that values may refer to. Throws a ComposeError for a line without "=". */
export function parseEnvFile(text: string, file: string, known: Variables = {}): Variables {
  const variables: Record<string, string> = {};
  for (const [index, raw] of text.split("\n").entries()) {
    const place = { file, line: index + 1, column: 1 };
    const line = raw.replace(/\r$/, "").trim();
    if (line === "" || line.startsWith("#")) continue;
    const [, name, rest = ""] = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:=\s*(.*))?$/s.exec(line) ?? [];
    if (name === undefined) throw new ComposeError(place, `expected NAME=value, got ${JSON.stringify(line)}`);
    if (!line.includes("=")) {
      const value = known[name];
      if (value !== undefined) variables[name] = value;
      continue;
    }
    variables[name] = unquoted(rest, (value) =>
      interpolate(value, place, { variables: { ...variables, ...known }, onUnset: () => {} }),
    );
  }
  return variables;
}

function unquoted(rest: string, expand: (value: string) => string): string {
  const quoted = /^(["'])((?:\\.|(?!\1).)*)\1\s*(?:#.*)?$/s.exec(rest);
  if (quoted?.[1] === "'") return quoted[2] ?? "";
  if (quoted?.[1] === '"')
    return expand((quoted[2] ?? "").replace(/\\([nrt"\\])/g, (_, letter: string) => escapes[letter] ?? letter));
  return expand(rest.replace(/\s+#.*$/, "").trim());
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };
