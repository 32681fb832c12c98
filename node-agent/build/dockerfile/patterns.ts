// Patterns of paths: what COPY takes for sources, and .dockerignore with its exceptions (github.com/moby/patternmatcher). Pure.

/** Whether a source names files by a pattern. */
export function isPattern(text: string): boolean {
  return /[*?[]/.test(text);
}

/** "*" and "?" stop at slashes, "**" does not, "[a-z]" and "\*" as in Go's filepath.Match. Matches whole paths. */
export function patternToRegExp(pattern: string): RegExp {
  let text = "";
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at] ?? "";
    if (pattern.startsWith("**", at)) {
      at++;
      if (pattern[at + 1] === "/") {
        at++;
        text += "(?:.*/)?";
      } else text += ".*";
    } else if (letter === "*") text += "[^/]*";
    else if (letter === "?") text += "[^/]";
    else if (letter === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) text += "\\[";
      else {
        text += `[${pattern.slice(at + 1, end).replace(/[\\\]]/g, "\\$&")}]`;
        at = end;
      }
    } else if (letter === "\\" && at + 1 < pattern.length) text += escapeLetter(pattern[++at] ?? "");
    else text += escapeLetter(letter);
  }
  return new RegExp(`^${text}$`, "s");
}

/** Without "." and doubled slashes, ".." taken back as far as it goes; "" is the root. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

export interface Ignore {
  /** The last line that fits decides. */
  ignores(path: string): boolean;
  /** Whether something below an ignored directory may come back by an exception. */
  mayHold(directory: string): boolean;
}

export function parseIgnore(text: string): Ignore {
  const rules = text.split(/\r?\n/).flatMap(readRule);
  return {
    ignores: (path) => {
      let ignored = false;
      for (const { excepts, pattern } of rules) {
        if (excepts === ignored && fits(pattern, path)) ignored = !excepts;
      }
      return ignored;
    },
    mayHold: (directory) => rules.some(({ excepts, lead }) => excepts && reaches(lead, directory)),
  };
}

interface Rule {
  readonly excepts: boolean;
  readonly pattern: RegExp;
  /** What comes before its first wildcard. */
  readonly lead: string;
}

function readRule(line: string): readonly Rule[] {
  const trimmed = line.trim();
  if (trimmed === "" || line.startsWith("#")) return [];
  const excepts = trimmed.startsWith("!");
  const path = cleanPath(excepts ? trimmed.slice(1).trim() : trimmed);
  if (path === "") return [];
  return [{ excepts, pattern: patternToRegExp(path), lead: path.split(/[*?[]/)[0] ?? "" }];
}

// A rule means what it names and all below it.
function fits(pattern: RegExp, path: string): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    if (pattern.test(path.slice(0, end))) return true;
  }
  return false;
}

function reaches(lead: string, directory: string): boolean {
  return lead.startsWith(`${directory}/`) || `${directory}/`.startsWith(lead);
}

function escapeLetter(letter: string): string {
  return letter.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
