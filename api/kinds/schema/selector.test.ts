// Selectors, names and ages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldMatcher, parseFieldSelector } from "./field-selector.ts";
import { ageOf, humanDuration } from "./human-age.ts";
import { configKey, dns1123Label, dns1123Subdomain, envName, labelValue, portName, qualifiedName } from "./names.ts";
import { formatSelector, matches, parseLabelSelector, selectorOf } from "./selector.ts";

const labels = { app: "web", tier: "front", n: "5" };
const selectors: readonly (readonly [string, boolean])[] = [
  ["", true],
  ["app=web", true],
  ["app==web,tier!=back", true],
  ["app!=web", false],
  ["gone!=x", true],
  ["app in (api, web),tier notin (back)", true],
  ["app notin (web)", false],
  ["app,!gone", true],
  ["!app", false],
  ["n>4,n<6", true],
  ["app>4", false],
  ["app=", false],
  ["example.com/x=y", false],
];
for (const [text, fits] of selectors) {
  test(`parseLabelSelector and matches judge ${JSON.stringify(text)}`, () => {
    const selector = parseLabelSelector(text);
    assert.equal(matches(selector, labels), fits);
    assert.deepEqual(parseLabelSelector(formatSelector(selector)), selector);
  });
}

for (const text of ["=x", "a b", "app in web", "app in (we b)", "a=b=c", "-a=b", "n>x", "a,,b", "(a)"]) {
  test(`parseLabelSelector refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseLabelSelector(text), { reason: "BadRequest" });
  });
}

test("selectorOf reads a LabelSelector; an absent one selects nothing", () => {
  const selector = selectorOf({
    matchLabels: { app: "web" },
    matchExpressions: [{ key: "tier", operator: "NotIn", values: ["back"] }],
  });
  assert.deepEqual([selector && matches(selector, labels), selectorOf(undefined)], [true, undefined]);
});

test("fieldMatcher compares fields that the kind names", () => {
  const object = { metadata: { name: "a", namespace: "b" } };
  const fields = { "status.phase": () => "Running" };
  const fits = (text: string) => fieldMatcher(parseFieldSelector(text), fields)(object);
  assert.deepEqual(["metadata.name=a,status.phase!=Pending", "metadata.namespace==c", "status.phase=", ""].map(fits), [
    true,
    false,
    false,
    true,
  ]);
  assert.throws(() => fits("spec.x=1"), {
    message: "field label not supported: spec.x (this kind selects by metadata.name, metadata.namespace, status.phase)",
  });
  assert.throws(() => fits("metadata.name"), { reason: "BadRequest" });
});

const rules: readonly (readonly [string, (text: string) => readonly string[], readonly string[], readonly string[]])[] =
  [
    ["dns1123Label", dns1123Label, ["a", "web-1", "1"], ["", "-a", "a-", "A", "a.b", "a".repeat(64)]],
    ["dns1123Subdomain", dns1123Subdomain, ["a.b", "web-1.example"], ["a..b", ".a", "a.-b", "a_b"]],
    [
      "qualifiedName",
      qualifiedName,
      ["a", "A_b.c", "example.com/x"],
      ["", "/x", "example.com/", "a/b/c", "Example.com/x"],
    ],
    ["labelValue", labelValue, ["", "a", "A_b-c.d"], ["-a", "a b", "a".repeat(64)]],
    ["configKey", configKey, ["a.conf", "_A", "__proto__"], ["", "..", "..a", "a/b"]],
    ["portName", portName, ["http", "a-1"], ["", "80", "a--b", "-a", "a".repeat(16)]],
    ["envName", envName, ["A", "a.b-c", "A B"], ["", "A=B", "ä"]],
  ];
for (const [name, rule, good, bad] of rules) {
  test(`${name} tells good names from bad ones`, () => {
    assert.deepEqual(
      [good.filter((text) => rule(text).length > 0), bad.filter((text) => rule(text).length === 0)],
      [[], []],
    );
  });
}

const second = 1000;
const durations: readonly (readonly [number, string])[] = [
  [-5 * second, "<invalid>"],
  [0, "0s"],
  [119 * second, "119s"],
  [120 * second, "2m"],
  [303 * second, "5m3s"],
  [10 * 60 * second, "10m"],
  [179 * 60 * second, "179m"],
  [192 * 60 * second, "3h12m"],
  [9 * 3600 * second, "9h"],
  [52 * 3600 * second, "2d4h"],
  [30 * 86400 * second, "30d"],
  [800 * 86400 * second, "2y70d"],
];
for (const [ms, text] of durations) {
  test(`humanDuration prints ${ms} ms as ${text}`, () => assert.equal(humanDuration(ms), text));
}

test("ageOf counts from a timestamp", () => {
  assert.deepEqual([ageOf("1970-01-01T00:00:00Z", 61_000), ageOf(undefined, 0)], ["61s", "<unknown>"]);
});
