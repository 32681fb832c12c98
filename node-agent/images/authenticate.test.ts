import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChallenges } from "./authenticate.ts";

test("parseChallenges reads several schemes, quoted and plain values, and survives nonsense", () => {
  assert.deepEqual(
    [
      'Bearer realm="https://a.b/token",service="r",scope="repository:x/y:pull,push"',
      'Basic realm="a \\"b\\"", BEARER realm=https://t, Service = r',
      "Negotiate",
      ', , = "x',
      "",
    ].map(parseChallenges),
    [
      [
        {
          scheme: "bearer",
          parameters: { realm: "https://a.b/token", service: "r", scope: "repository:x/y:pull,push" },
        },
      ],
      [
        { scheme: "basic", parameters: { realm: 'a "b"' } },
        { scheme: "bearer", parameters: { realm: "https://t", service: "r" } },
      ],
      [{ scheme: "negotiate", parameters: {} }],
      [],
      [],
    ],
  );
});
