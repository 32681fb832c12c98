// The known word that somebody probably meant. Pure.

/** The nearest of the words, if it is near enough to be a slip of the fingers. */
export function nearest(word: string, among: Iterable<string>): string | undefined {
  let best: { readonly word: string; readonly slips: number } | undefined;
  for (const candidate of among) {
    const slips = slipsBetween(word, candidate);
    if (best === undefined || slips < best.slips) best = { word: candidate, slips };
  }
  const slipsMax = Math.max(1, Math.floor(word.length / 3));
  return best !== undefined && best.slips <= slipsMax ? best.word : undefined;
}

/** Letters to add, leave out, change, or swap with their neighbour (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  let [before, last]: readonly number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        (last?.[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last?.[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before?.[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    [before, last] = [last, row];
  }
  return last?.[b.length] ?? 0;
}
