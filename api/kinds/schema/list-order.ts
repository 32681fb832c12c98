// The order of a list that a patch or an applied object has changed.

/**
 * Elements that `order` names stand in its order; the others keep their place before the first named element that came after them in
 * the live list.
 */
export function inOrder(
  list: readonly unknown[],
  {
    order,
    before,
    keyOf,
  }: {
    readonly order: readonly unknown[];
    readonly before: readonly unknown[];
    readonly keyOf: (element: unknown) => unknown;
  },
): readonly unknown[] {
  const rank = ranks(order.map(keyOf));
  const place = ranks(before.map(keyOf));
  const named = list.filter((element) => rank(keyOf(element)) >= 0);
  const others = list.filter((element) => rank(keyOf(element)) < 0);
  named.sort((a, b) => rank(keyOf(a)) - rank(keyOf(b)));
  const result: unknown[] = [];
  let next = 0;
  for (const element of named) {
    const here = place(keyOf(element));
    while (next < others.length && here >= 0 && place(keyOf(others[next])) < here) result.push(others[next++]);
    result.push(element);
  }
  return [...result, ...others.slice(next)];
}

/** Where each key stands first. */
export function firstIndexes(keys: readonly unknown[]): Map<string, number> {
  const indexes = new Map<string, number>();
  keys.forEach((key, i) => {
    const text = textOf(key);
    if (!indexes.has(text)) indexes.set(text, i);
  });
  return indexes;
}

/** Keys and set members are plain values: equal ones have equal text. */
export function textOf(key: unknown): string {
  return JSON.stringify(key) ?? "";
}

/** Position by key, -1 for one that is not there. */
function ranks(keys: readonly unknown[]): (key: unknown) => number {
  const positions = firstIndexes(keys);
  return (key) => positions.get(textOf(key)) ?? -1;
}
