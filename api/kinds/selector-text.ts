// A LabelSelector as a table shows it.
import type { LabelSelector } from "./generated/types.ts";
import { formatSelector, selectorOf } from "./schema/selector.ts";

export function selectorText(selector: LabelSelector | undefined): string {
  const text = formatSelector([...(selectorOf(selector) ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1)));
  return text === "" ? "<none>" : text;
}
