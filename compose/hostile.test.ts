// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are Compose's
// Whatever a Compose file holds, it is read or refused with its place, in time that is bound.
import { equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { convertCompose } from "./convert.ts";
import { serviceFields } from "./fields/all.ts";
import { interpolate, interpolateNode } from "./interpolate.ts";
import { loadCompose } from "./load.ts";
import { mergeNodes, withoutResets } from "./merge.ts";
import { ComposeError, type Node, parseNodes } from "./nodes.ts";

const place = { file: "compose.yaml", line: 1, column: 1 };
/** CPU seconds that nothing here may take: a machine that is busy with others takes none of them. */
const cpuSecondsMax = 20;

const scalar = fc.oneof(
  fc.constantFrom(
    null,
    true,
    "",
    "$",
    "${A}",
    "${A:-${B}}",
    "${",
    "$$",
    "8080:80",
    "1m",
    "64m",
    "web",
    "..",
    "=",
    "NAME=value",
  ),
  fc.string(),
  fc.integer(),
  fc.double(),
);
const keys = fc.oneof(
  fc.constantFrom("services", "web", "image", "extends", "include", "<<", "x-a", "volumes", "networks", "__proto__"),
  fc.constantFrom(...Object.keys(serviceFields)),
  fc.string(),
);
const tree = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    scalar,
    fc.array(tie("any"), { maxLength: 4 }),
    fc.dictionary(keys, tie("any"), { maxKeys: 5 }),
  ),
})).any;

/** Undefined for what was refused as it should be. */
function refused<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof ComposeError) return undefined;
    throw error;
  }
}

function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const nodeOf = (value: unknown): Node | undefined => refused(() => parseNodes(JSON.stringify(value), "compose.yaml"));

test("interpolate gives a text or a ComposeError, whatever it reads", () => {
  const parts = fc.constantFrom("$", "{", "}", ":", "-", "+", "?", "A", "B1", "$$", "${A:-", "x", " ", "\n");
  const text = fc.oneof(
    fc.string(),
    fc.array(parts, { maxLength: 60 }).map((all) => all.join("")),
  );
  const variables = fc.dictionary(fc.constantFrom("A", "B1"), fc.string());
  fc.assert(
    fc.property(text, variables, (input, known) => {
      const result = refused(() => interpolate(input, place, { variables: known, onUnset: () => {} }));
      ok(result === undefined || typeof result === "string");
      if (!input.includes("$")) equal(result, input);
    }),
  );
});

test("parseNodes gives a tree or a ComposeError of any text", () => {
  const text = fc.oneof(
    fc.string(),
    fc
      .array(
        fc.constantFrom(
          "a: ",
          "- ",
          "&x ",
          "*x",
          "<<: ",
          "{",
          "}",
          "[",
          "]",
          "\n",
          "  ",
          "!reset ",
          "? ",
          "| ",
          "'",
          '"',
          "#",
        ),
        { maxLength: 40 },
      )
      .map((all) => all.join("")),
  );
  fc.assert(fc.property(text, (input) => void refused(() => parseNodes(input, "compose.yaml"))));
});

test("mergeNodes lays any tree over any other, or refuses with the place; over itself it changes nothing that matters", () => {
  fc.assert(
    fc.property(tree, tree, (first, second) => {
      const [base, over] = [nodeOf(first), nodeOf(second)];
      if (base === undefined || over === undefined) return;
      const merged = refused(() => withoutResets(mergeNodes(base, over)));
      if (merged !== undefined) interpolateNodeSafely(merged);
    }),
  );
});

test("a whole file of anything becomes objects, findings or a ComposeError", () => {
  fc.assert(
    fc.property(fc.dictionary(keys, tree), fc.dictionary(keys, tree), (services, rest) => {
      const text = JSON.stringify({ ...rest, services: { web: services } });
      const readText = (path: string) => (path === "/p/compose.yaml" ? text : undefined);
      refused(() => {
        const loaded = loadCompose(["/p/compose.yaml"], { readText, variables: {}, profiles: ["*"] });
        return convertCompose(loaded, { readText });
      });
    }),
    { numRuns: 300 },
  );
});

test("aliases that multiply, and depths without end, are refused in time that is bound", () => {
  const letters = "abcdefghijklmnop".split("");
  const laughs = [
    "a: &a [x, x, x, x, x, x, x, x, x]",
    ...letters.slice(1).map((letter, i) => `${letter}: &${letter} [${`*${letters[i]}, `.repeat(9)}]`),
  ].join("\n");
  const deep = [
    "[".repeat(100_000),
    "a: ".repeat(10_000),
    `${"{a: ".repeat(50_000)}1${"}".repeat(50_000)}`,
    Array.from({ length: 5_000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
    "a: &a [*a]",
    "a: &a\n  <<: *a",
  ];
  const seconds = cpuSeconds(() => {
    for (const text of [laughs, ...deep])
      throws(() => parseNodes(text, "compose.yaml"), ComposeError, text.slice(0, 40));
    const nested = `${"${A:-".repeat(10_000)}x${"}".repeat(10_000)}`;
    throws(() => interpolate(nested, place, { variables: {}, onUnset: () => {} }), ComposeError);
    refused(() => interpolate("${".repeat(100_000), place, { variables: {}, onUnset: () => {} }));
  });
  ok(seconds < cpuSecondsMax, `${seconds} s of CPU`);
});

function interpolateNodeSafely(node: Node): void {
  refused(() => interpolateNode(node, { variables: { A: "1" }, onUnset: () => {} }));
}
