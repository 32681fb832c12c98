// How a description is laid out: names with their values, and tables, each under a title.
import { bold, printTable } from "../terminal.ts";

export type Part =
  | { readonly type: "fields"; readonly title?: string; readonly rows: readonly Row[] }
  | {
      readonly type: "table";
      readonly title: string;
      readonly header: readonly string[];
      readonly rows: readonly (readonly string[])[];
    };

/** A name and its value; several values stand below one another. */
export type Row = readonly [name: string, value: string | readonly string[]];

/** Fields without a value, and parts without fields or rows, are left out. */
export function layOut(parts: readonly Part[]): string {
  return parts
    .map(partText)
    .filter((text) => text !== "")
    .join("\n\n");
}

/** "a=b" each, sorted. */
export function pairs(values: Readonly<Record<string, string>> | undefined): readonly string[] {
  return Object.entries(values ?? {})
    .map(([name, value]) => (value === "" ? name : `${name}=${value}`))
    .sort();
}

function partText(part: Part): string {
  if (part.type === "table")
    return part.rows.length === 0 ? "" : `${bold(part.title)}\n${indent(printTable(part.header, part.rows))}`;
  const rows = part.rows.flatMap(([name, value]) => {
    const values = (typeof value === "string" ? [value] : value).filter((one) => one !== "");
    return values.map((one, at) => [at === 0 ? `${name}:` : "", one]);
  });
  if (rows.length === 0) return "";
  const text = printTable([], rows);
  return part.title === undefined ? text : `${bold(part.title)}\n${indent(text)}`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}
