// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are the format's
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEnvFile } from "./env-file.ts";

test("parseEnvFile reads what people write, with every kind of quotes", () => {
  const text = String.raw`# a comment
export PLAIN=1 # behind it
HASH=a#b
SPACED =  x y  
SINGLE='it is $literal \n'
APOSTROPHE='it\'s'
DOUBLE="tab\there ${"${PLAIN}"} and \$PLAIN, \"quoted\"" # behind it
MULTI="a
  b=c
# no comment"
KEY='-----BEGIN-----
abc
-----END-----'
COLON: yaml
EMPTY=
NOTHING= # only a comment
FROM_OUTSIDE
UNKNOWN
`;
  assert.deepEqual(parseEnvFile(text, ".env", { FROM_OUTSIDE: "seen" }), {
    PLAIN: "1",
    HASH: "a#b",
    SPACED: "x y",
    SINGLE: "it is $literal \\n",
    APOSTROPHE: "it's",
    DOUBLE: 'tab\there 1 and $PLAIN, "quoted"',
    MULTI: "a\n  b=c\n# no comment",
    KEY: "-----BEGIN-----\nabc\n-----END-----",
    COLON: "yaml",
    EMPTY: "",
    NOTHING: "",
    FROM_OUTSIDE: "seen",
  });
});

test("parseEnvFile names the line that it cannot read", () => {
  for (const [text, message] of [
    ["A=1\n!x\n", '.env:2:1: expected NAME=value, got "!x"'],
    ['A=1\nB="open\nC=2\n', '.env:2:1: the value of B lacks its closing "'],
    ["A='x' y\n", '.env:1:1: unexpected "y" behind the closing \''],
  ] as const)
    assert.throws(() => parseEnvFile(text, ".env"), { message });
});
