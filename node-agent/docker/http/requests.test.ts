// How requests are read: paths to endpoints, parameters, filters, times, bodies.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JsonObject } from "./json.ts";
import { DockerProblem } from "./problem.ts";
import { anyOf, labelsAbsent, labelsFit, parseDuration, parseTime, Query } from "./query.ts";
import { empty } from "./reply.ts";
import { openRouter, splitVersion } from "./router.ts";

const refusal = (run: () => unknown) => {
  try {
    run();
    return "no refusal";
  } catch (error) {
    return error instanceof DockerProblem ? `${error.status} ${error.message}` : String(error);
  }
};

test("openRouter finds endpoints by method and path, names with slashes among them", () => {
  const answer = async () => empty();
  const router = openRouter([
    ["GET /containers/{id}/json", answer],
    ["DELETE /containers/{name}", answer],
    ["GET /images/json", answer],
    ["GET /images/{name}/json", answer],
  ]);
  const seen = (
    [
      "GET /containers/a%2Fb/json",
      "GET /containers/team/app:1/json",
      "POST /containers/a",
      "GET /images/json",
      "GET /images/team/app:1/json",
      "GET /nowhere",
    ] as const
  ).map((call) => {
    const [method = "", path = ""] = call.split(" ");
    const match = router(method, path);
    return typeof match === "string" ? match : match.params;
  });
  assert.deepEqual(
    seen.map((one) => (typeof one === "string" ? one : { ...one })),
    [{ id: "a/b" }, { id: "team/app:1" }, "no such method", {}, { name: "team/app:1" }, "no such path"],
  );
});

test("splitVersion takes the version off a path", () => {
  assert.deepEqual(
    [splitVersion("/v1.41/info"), splitVersion("/info")],
    [
      { apiMinor: 41, path: "/info" },
      { apiMinor: undefined, path: "/info" },
    ],
  );
});

test("Query reads flags as Docker does", () => {
  const query = new Query("?a=1&b=true&c=0&d=False&e=&f=yes&n=-3");
  assert.deepEqual(
    [
      ...["a", "b", "c", "d", "e", "f", "absent"].map((name) => query.flag(name)),
      query.number("n"),
      refusal(() => query.number("b")),
    ],
    [true, true, false, false, false, true, false, -3, '400 b: expected a number, got "true"'],
  );
});

test("Query reads filters of old and of now, and refuses unknown ones", () => {
  const of = (filters: unknown, known: readonly string[]) =>
    new Query(new URLSearchParams({ filters: JSON.stringify(filters) }).toString()).filters(known);
  assert.deepEqual(
    [
      of({ label: ["a", "b=c"] }, ["label"]).get("label"),
      of({ status: { exited: true } }, ["status"]).get("status"),
      refusal(() => of({ colour: ["red"] }, ["label"])),
    ],
    [["a", "b=c"], ["exited"], "400 invalid filter 'colour'"],
  );
});

test("filters of one name are alternatives, labels hold together", () => {
  const filters = new Map([
    ["status", ["running", "paused"]],
    ["label", ["a", "b=1"]],
    ["label!", ["c"]],
  ]);
  assert.deepEqual(
    [
      ...["paused", "exited"].map((status) => anyOf(filters, "status", (value) => value === status)),
      anyOf(filters, "absent", () => false),
      ...[{ a: "", b: "1" }, { a: "", b: "2" }, { b: "1" }].map((labels) =>
        labelsFit(filters, labels as Record<string, string>),
      ),
      ...[{ c: "" }, {}].map((labels) => labelsAbsent(filters, labels as Record<string, string>)),
    ],
    [true, false, true, true, false, false, false, true],
  );
});

test("parseTime takes seconds, dates and durations", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.deepEqual(
    [
      ...["", "12.5", "2025-12-31T23:00:00Z", "1h30m", "-1s"].map(
        (text) => refusal(() => parseTime(text, now)) === "no refusal" && parseTime(text, now),
      ),
      refusal(() => parseTime("soon", now)),
    ],
    [
      undefined,
      12_500,
      now - 3_600_000,
      now - 5_400_000,
      false,
      '400 time "soon": expected seconds, RFC 3339 or a duration like 10m',
    ],
  );
  assert.deepEqual(["1h2m3s", "1.5s", "250ms", "x", "5"].map(parseDuration), [
    3_723_000,
    1500,
    250,
    undefined,
    undefined,
  ]);
});

test("JsonObject names the place of what is wrong", () => {
  const body = new JsonObject({
    Name: 5,
    List: ["a", 1],
    In: { Flag: "yes" },
    One: "word",
    Map: { a: "1" },
    Objects: [{}, 3],
    Null: null,
  });
  assert.deepEqual(
    [
      ...[
        () => body.text("Name"),
        () => body.texts("List"),
        () => body.object("In").flag("Flag"),
        () => body.objects("Objects"),
        () => new JsonObject([]),
      ].map(refusal),
      body.texts("One"),
      body.textMap("Map"),
      body.text("Null", "absent"),
    ],
    [
      "400 Name: expected a string, got number 5",
      "400 List: expected a list of strings, got a list",
      '400 In.Flag: expected a boolean, got string "yes"',
      "400 Objects[1]: expected an object, got number 3",
      "400 the body: expected an object, got a list",
      ["word"],
      { a: "1" },
      "absent",
    ],
  );
});
