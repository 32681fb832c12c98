// --chmod: a number, or what chmod(1) takes: "u=rwX,go=rX". Pure.

/** Permissions that a file gets that has `mode`. */
type Change = (mode: number, isDirectory: boolean) => number;

const whoBits: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };

/** Undefined when it is none. */
export function parseMode(text: string): Change | undefined {
  if (/^[0-7]{1,5}$/.test(text)) return () => Number.parseInt(text, 8);
  const clauses = text.split(",").map(parseClause);
  if (!clauses.every((clause) => clause !== undefined)) return undefined;
  return (mode, isDirectory) => clauses.reduce((changed, clause) => clause(changed, isDirectory), mode);
}

function parseClause(text: string): Change | undefined {
  const [, who = "", rest] = /^([ugoa]*)((?:[-+=][rwxXst]*)+)$/.exec(text) ?? [];
  if (rest === undefined) return undefined;
  const reach = [...(who === "" ? "a" : who)].reduce((bits, letter) => bits | (whoBits[letter] ?? 0), 0);
  const actions = [...rest.matchAll(/([-+=])([rwxXst]*)/g)];
  return (mode, isDirectory) =>
    actions.reduce((changed, [, operator, letters = ""]) => {
      const bits = bitsOf(letters, { mode: changed, isDirectory }) & reach;
      if (operator === "+") return changed | bits;
      return operator === "-" ? changed & ~bits : (changed & ~reach) | bits;
    }, mode);
}

// "X" is "x" for directories and what somebody may execute already.
function bitsOf(letters: string, file: { readonly mode: number; readonly isDirectory: boolean }): number {
  const executable = file.isDirectory || (file.mode & 0o111) !== 0;
  const known: Readonly<Record<string, number>> = {
    ...{ r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 },
    X: executable ? 0o111 : 0,
  };
  return [...letters].reduce((bits, letter) => bits | (known[letter] ?? 0), 0);
}
