// Completion indexes as Job status and success policies write them: "1,3-5,7". Pure.

/** In growing order, without doubles; a reason when `text` is no such list or names `completions` or more. */
export function parseIndexes(text: string, completions: number): readonly number[] | string {
  if (text === "") return [];
  const indexes: number[] = [];
  for (const part of text.split(",")) {
    const found = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (found === null) return `cannot parse ${JSON.stringify(part)}: takes numbers and ranges such as "1,3-5"`;
    const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
    if (to < from) return `range ${part} ends before it begins`;
    if (to >= completions) return `index ${to} is not below completions (${completions})`;
    if (from <= (indexes.at(-1) ?? -1)) return `${part} is not above what stands before it`;
    for (let index = from; index <= to; index++) indexes.push(index);
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
