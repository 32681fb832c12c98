// Completion indexes as Job status and success policies write them: "1,3-5,7". Pure.

/** First and last, both within. */
export type IndexRange = readonly [from: number, to: number];

/** In growing order and apart; a reason when `text` is no such list or names `completions` or more. */
export function parseIndexes(text: string, completions: number): readonly IndexRange[] | string {
  if (text === "") return [];
  const ranges: IndexRange[] = [];
  for (const part of text.split(",")) {
    const found = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (found === null) return `cannot parse ${JSON.stringify(part)}: takes numbers and ranges such as "1,3-5"`;
    const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
    if (to < from) return `range ${part} ends before it begins`;
    if (to >= completions) return `index ${to} is not below completions (${completions})`;
    if (from <= (ranges.at(-1)?.[1] ?? -1)) return `${part} is not above what stands before it`;
    ranges.push([from, to]);
  }
  return ranges;
}

export function countIndexes(ranges: readonly IndexRange[]): number {
  return ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
}

/** Those of a status, as far as they are below `completions`: a Job may have shrunk. What cannot be read holds none. */
export function readIndexes(text: string | undefined, completions: number): ReadonlySet<number> {
  const ranges = parseIndexes(text ?? "", Number.POSITIVE_INFINITY);
  const indexes = new Set<number>();
  for (const [from, to] of typeof ranges === "string" ? [] : ranges) {
    for (let index = from; index <= to && index < completions; index++) indexes.add(index);
  }
  return indexes;
}

/** Ranges joined with "-" from three on, and pairs with ",": as Kubernetes writes them. `indexes` in any order. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...new Set(indexes)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    const first = sorted[i] ?? 0;
    let length = 1;
    while (sorted[i + length] === first + length) length++;
    const last = first + length - 1;
    parts.push(length === 1 ? `${first}` : length === 2 ? `${first},${last}` : `${first}-${last}`);
    i += length;
  }
  return parts.join(",");
}
