import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMode } from "./modes.ts";

test("numbers and chmod's words change modes of files and directories parseMode", () => {
  const octal = (text: string) => {
    const change = parseMode(text);
    return [change?.(0o644, false), change?.(0o755, false), change?.(0o700, true)].map((mode) => mode?.toString(8));
  };
  const texts = ["4755", "u=rwX,go=rX", "+x", "a-w,u+s", "go=", "o=u", "8", "u=rwx;o=", ""];
  assert.deepEqual(texts.map(octal), [
    ["4755", "4755", "4755"],
    ["644", "755", "755"],
    ["755", "755", "711"],
    ["4444", "4555", "4500"],
    ["600", "700", "700"],
    ...Array.from({ length: 4 }, () => [undefined, undefined, undefined]),
  ]);
});
