// Taking a command line apart into its words: quotes and backslashes, no expansions.

/** Undefined when a quotation mark is not closed. */
export function shellWords(text: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? "";
    if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (letter === "'" || letter === '"') {
      const end = closingQuote(text, at);
      if (end < 0) return undefined;
      const inside = text.slice(at + 1, end);
      word = (word ?? "") + (letter === "'" ? inside : inside.replace(/\\(["\\$`])/g, "$1"));
      at = end;
    } else if (letter === "\\" && at + 1 < text.length) {
      word = (word ?? "") + text[++at];
    } else {
      word = (word ?? "") + letter;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function closingQuote(text: string, from: number): number {
  const quote = text[from];
  for (let at = from + 1; at < text.length; at++) {
    if (quote === '"' && text[at] === "\\") at++;
    else if (text[at] === quote) return at;
  }
  return -1;
}
