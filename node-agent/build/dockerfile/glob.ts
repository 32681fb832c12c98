// Patterns with wildcards. All ways to match are followed at once, so that the time grows with the pattern times the text, however many
// stars a stranger wrote; a regular expression would try the ways one after another. Pure.

/** What the next letter must be, or what any number of letters may be. */
type Part =
  | { readonly kind: "one"; readonly takes: (letter: string) => boolean }
  | { readonly kind: "many"; readonly takes: (letter: string) => boolean; readonly skips: readonly number[] };

export interface Glob {
  /** Where matches end that begin at `from`, in order. */
  endsFrom(text: string, from: number): readonly number[];
}

const any = () => true;
const notSlash = (letter: string) => letter !== "/";

/** "*" and "?" stop at slashes, "**" does not, "[a-z]" and "\*" as in Go's filepath.Match. */
export function pathGlob(pattern: string): Glob {
  const parts: Part[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at] ?? "";
    if (pattern.startsWith("**/", at)) {
      // No folder, or any number of them.
      parts.push({ kind: "many", takes: any, skips: [1, 2] }, exactly("/"));
      at += 2;
    } else if (pattern.startsWith("**", at)) {
      parts.push({ kind: "many", takes: any, skips: [1] });
      at++;
    } else if (letter === "*") parts.push({ kind: "many", takes: notSlash, skips: [1] });
    else if (letter === "?") parts.push({ kind: "one", takes: notSlash });
    else if (letter === "[" && pattern.includes("]", at + 2)) {
      const end = pattern.indexOf("]", at + 2);
      parts.push({ kind: "one", takes: letterSet(pattern.slice(at + 1, end)) });
      at = end;
    } else if (letter === "\\" && at + 1 < pattern.length) parts.push(exactly(pattern[++at] ?? ""));
    else parts.push(exactly(letter));
  }
  return globOf(parts);
}

/** A shell's pattern in ${x#pattern}: "*", "?" and "\*". `backwards`: for texts whose letters come last first. */
export function shellGlob(pattern: string, { backwards }: { readonly backwards: boolean }): Glob {
  const parts: Part[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at] ?? "";
    if (letter === "*") parts.push({ kind: "many", takes: any, skips: [1] });
    else if (letter === "?") parts.push({ kind: "one", takes: any });
    else parts.push(exactly(letter === "\\" && at + 1 < pattern.length ? (pattern[++at] ?? "") : letter));
  }
  return globOf(backwards ? parts.reverse() : parts);
}

function globOf(parts: readonly Part[]): Glob {
  // The last letter at which a part was reached: each is looked at once a letter.
  const reachedAt = new Int32Array(parts.length + 1);
  const reach = (states: number[], state: number, mark: number) => {
    if (reachedAt[state] === mark) return;
    reachedAt[state] = mark;
    states.push(state);
    const part = parts[state];
    if (part?.kind === "many") for (const skip of part.skips) reach(states, state + skip, mark);
  };
  return {
    endsFrom: (text, from) => {
      reachedAt.fill(-1);
      const ends: number[] = [];
      let states: number[] = [];
      reach(states, 0, from);
      for (let at = from; states.length > 0; at++) {
        if (reachedAt[parts.length] === at) ends.push(at);
        if (at >= text.length) break;
        const letter = text[at] ?? "";
        const next: number[] = [];
        for (const state of states) {
          const part = parts[state];
          if (part?.takes(letter) === true) reach(next, part.kind === "many" ? state : state + 1, at + 1);
        }
        states = next;
      }
      return ends;
    },
  };
}

function exactly(wanted: string): Part {
  return { kind: "one", takes: (letter) => letter === wanted };
}

function letterSet(text: string): (letter: string) => boolean {
  const negated = text.startsWith("^");
  const ranges: { readonly from: string; readonly to: string }[] = [];
  const letters = [...(negated ? text.slice(1) : text).matchAll(/\\?([\s\S])/g)].map(([, letter = ""]) => letter);
  for (let at = 0; at < letters.length; at++) {
    const from = letters[at] ?? "";
    const isRange = letters[at + 1] === "-" && at + 2 < letters.length;
    ranges.push({ from, to: isRange ? (letters[at + 2] ?? "") : from });
    if (isRange) at += 2;
  }
  return (letter) => letter !== "/" && ranges.some(({ from, to }) => from <= letter && letter <= to) !== negated;
}
