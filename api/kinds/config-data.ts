// Rules that ConfigMap and Secret share: keys become file names, and all of it has to fit.
import type { FieldError } from "./kind.ts";
import { complaints } from "./metadata.ts";
import { forbidden, tooLong } from "./schema/field-error.ts";
import { configKey } from "./schema/names.ts";
import { key } from "./schema/path.ts";

type Texts = Readonly<Record<string, string>>;

const dataBytesMax = 1024 * 1024;

/** `fields` by name ("data", "binaryData"); `bytesOf` measures one value. */
export function dataErrors(
  fields: Readonly<Record<string, Texts | undefined>>,
  bytesOf: (field: string, value: string) => number,
): readonly FieldError[] {
  const entries = Object.entries(fields).flatMap(([field, texts]) =>
    Object.entries(texts ?? {}).map(([name, value]) => ({ field, name, value })),
  );
  const total = entries.reduce((sum, { field, value }) => sum + bytesOf(field, value), 0);
  return [
    ...entries.flatMap(({ field, name }) => complaints(key(field, name), name, configKey)),
    ...(total > dataBytesMax ? [tooLong("", dataBytesMax)] : []),
  ];
}

/** What `immutable: true` has frozen. */
export function frozenErrors(
  now: { readonly [field: string]: unknown },
  old: { readonly [field: string]: unknown },
  same: (field: string) => boolean,
): readonly FieldError[] {
  if (old["immutable"] !== true) return [];
  const thawed = now["immutable"] === true ? [] : ["immutable"];
  return [...thawed, ...["data", "binaryData"].filter((field) => !same(field))].map((field) =>
    forbidden(field, "field is immutable when `immutable` is set"),
  );
}

/** Bytes of UTF-8 text, or of what base64 stands for. */
export function textBytes(text: string): number {
  return Buffer.byteLength(text, "utf8");
}

export function base64Bytes(text: string): number {
  return Math.floor((text.length * 3) / 4);
}
