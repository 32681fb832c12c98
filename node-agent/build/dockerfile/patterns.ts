// Patterns of paths: what COPY takes for sources, and .dockerignore with its exceptions (github.com/moby/patternmatcher). Pure.
import { pathGlob } from "./glob.ts";

/** Whether a source names files by a pattern. */
export function isPattern(text: string): boolean {
  return /[*?[]/.test(text);
}

/** Whether a path is what a pattern names. */
export function pathMatcher(pattern: string): (path: string) => boolean {
  const glob = pathGlob(pattern);
  return (path) => glob.endsFrom(path, 0).at(-1) === path.length;
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
  return ignoreOf(text.split(/\r?\n/).filter((line) => !line.startsWith("#")));
}

/** From patterns, such as --exclude takes them. */
export function ignoreOf(patterns: readonly string[]): Ignore {
  const rules = patterns.flatMap(readRule);
  return {
    ignores: (path) => {
      let ignored = false;
      for (const { excepts, fits } of rules) {
        if (excepts === ignored && fits(path)) ignored = !excepts;
      }
      return ignored;
    },
    mayHold: (directory) => rules.some(({ excepts, lead }) => excepts && reaches(lead, directory)),
  };
}

interface Rule {
  readonly excepts: boolean;
  /** A rule means what it names and all below it. */
  readonly fits: (path: string) => boolean;
  /** What comes before its first wildcard. */
  readonly lead: string;
}

function readRule(line: string): readonly Rule[] {
  const trimmed = line.trim();
  const excepts = trimmed.startsWith("!");
  const path = cleanPath(excepts ? trimmed.slice(1).trim() : trimmed);
  if (path === "") return [];
  return [{ excepts, fits: fitter(path), lead: path.split(/[*?[]/)[0] ?? "" }];
}

function fitter(pattern: string): Rule["fits"] {
  if (!/[*?[\\]/.test(pattern)) return (path) => path === pattern || path.startsWith(`${pattern}/`);
  const glob = pathGlob(pattern);
  return (path) => glob.endsFrom(path, 0).some((end) => end === path.length || path[end] === "/");
}

function reaches(lead: string, directory: string): boolean {
  return lead.startsWith(`${directory}/`) || `${directory}/`.startsWith(lead);
}
