// What ${x#p}, ${x##p}, ${x%p}, ${x%%p}, ${x/p/r} and ${x//p/r} make of a value. Pure.
import { shellGlob } from "./glob.ts";

export class WordError extends Error {}

/** Each letter may be where a match begins, and each of those is looked for to the end. */
const starredLettersMax = 8 * 1024;

/** Throws WordError. */
export function applyPattern(
  value: string,
  {
    operator,
    pattern,
    replacement,
  }: { readonly operator: string; readonly pattern: string; readonly replacement: string },
): string {
  switch (operator) {
    case "#":
      return value.slice(shellGlob(pattern, { backwards: false }).endsFrom(value, 0)[0] ?? 0);
    case "##":
      return value.slice(shellGlob(pattern, { backwards: false }).endsFrom(value, 0).at(-1) ?? 0);
    case "%":
    case "%%": {
      const ends = shellGlob(pattern, { backwards: true }).endsFrom(value.split("").reverse().join(""), 0);
      return value.slice(0, value.length - ((operator === "%" ? ends[0] : ends.at(-1)) ?? 0));
    }
    default:
      return replace(value, { pattern, replacement, all: operator === "//" });
  }
}

function replace(
  value: string,
  { pattern, replacement, all }: { readonly pattern: string; readonly replacement: string; readonly all: boolean },
): string {
  if (value.length > starredLettersMax && pattern.includes("*"))
    throw new WordError(
      `a pattern with * replaces in values of up to ${starredLettersMax} letters, this one has ${value.length}`,
    );
  const glob = shellGlob(pattern, { backwards: false });
  let result = "";
  let kept = 0;
  for (let at = 0; at < value.length; at++) {
    const end = glob.endsFrom(value, at).at(-1) ?? at;
    if (end === at) continue;
    result += value.slice(kept, at) + replacement;
    kept = end;
    if (!all) break;
    at = end - 1;
  }
  return result + value.slice(kept);
}
