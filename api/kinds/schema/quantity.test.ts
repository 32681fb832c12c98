// Quantities: exactness, canonical forms, and that reading back what was printed changes nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, canonicalQuantity, compareQuantities, cpuMilli, parseQuantity } from "./quantity.ts";

const canonical: readonly (readonly [string | number, string])[] = [
  ["1000m", "1"],
  ["0.5", "500m"],
  [0.5, "500m"],
  [2, "2"],
  ["1500m", "1500m"],
  ["12000", "12k"],
  ["1024Mi", "1Gi"],
  ["1536Mi", "1536Mi"],
  ["1000Ki", "1000Ki"],
  ["0.5Gi", "512Mi"],
  ["1Ki", "1Ki"],
  ["0.5Ki", "512"],
  ["1e3", "1e3"],
  ["100e-3", "100e-3"],
  ["1E", "1E"],
  ["0", "0"],
  ["0Mi", "0"],
  ["-5m", "-5m"],
  [".5", "500m"],
  ["5.", "5"],
  ["1n", "1n"],
  ["0.1n", "1n"],
  ["99999999999E", "9223372036854775807"],
];
for (const [text, expected] of canonical) {
  test(`canonicalQuantity prints ${text} as ${expected}`, () => {
    assert.equal(canonicalQuantity(text), expected);
  });
}

for (const text of ["", "m", "1Kib", "1 Gi", "abc", "1e", "1e999", "--1", "1.2.3", "0x10", "1mm", "Infinity"]) {
  test(`parseQuantity refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseQuantity(text), undefined);
  });
}

test("cpuMilli and bytes count in whole units, rounded up", () => {
  assert.deepEqual(
    [
      cpuMilli("250m"),
      cpuMilli("2"),
      cpuMilli("0.0001"),
      cpuMilli(0.5),
      bytes("64Mi"),
      bytes("1G"),
      bytes("1500m"),
      bytes(7),
    ],
    [250, 2000, 1, 500, 67_108_864, 1_000_000_000, 2, 7],
  );
});

const suffix = fc.constantFrom("n", "u", "m", "", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-3", "E2");
const quantity = fc.tuple(fc.integer({ min: -1_000_000, max: 1_000_000 }), suffix).map(([n, s]) => `${n}${s}`);

test("canonicalQuantity keeps the value, and its own output as it is", () => {
  fc.assert(
    fc.property(quantity, (text) => {
      const printed = canonicalQuantity(text);
      return compareQuantities(text, printed) === 0 && canonicalQuantity(printed) === printed;
    }),
  );
});

test("compareQuantities orders as the exact values do", () => {
  fc.assert(
    fc.property(quantity, quantity, (a, b) => {
      const difference = (parseQuantity(a)?.nanos ?? 0n) - (parseQuantity(b)?.nanos ?? 0n);
      return Math.sign(compareQuantities(a, b)) === (difference < 0n ? -1 : difference > 0n ? 1 : 0);
    }),
  );
});
