import assert from "node:assert/strict";
import { test } from "node:test";
import { asLaunchError } from "./launch-errors.ts";
import type { LaunchOp } from "./launch-op.ts";
import { LauncherError } from "./launcher-client.ts";
import { LaunchError } from "./runtime.ts";

const ops: readonly LaunchOp[] = [
  ["bind", "/volumes/a", "", "/data"],
  ["hold", "/volumes/a", "x/y", "/sub"],
  ["exec", 1, "/app"],
];

function told(errno: number, opIndex?: number) {
  const error = asLaunchError(new LauncherError("it", errno, opIndex), ops);
  assert.ok(error instanceof LaunchError);
  return { exitCode: error.exitCode, subPathOf: error.subPathOf };
}

test("a program that is not there has 127, one that cannot be executed 126 asLaunchError", () => {
  const codes = [2, 20, 13, 8, 21, 1, 12].map((errno) => told(errno, 2).exitCode);
  assert.deepEqual(codes, [127, 127, 126, 126, 126, 126, 128]);
});

test("every other step has 128, and a subPath's mount is named asLaunchError", () => {
  assert.deepEqual(
    [told(2, 0), told(2, 1), told(2)],
    [
      { exitCode: 128, subPathOf: undefined },
      { exitCode: 128, subPathOf: "/sub" },
      { exitCode: 128, subPathOf: undefined },
    ],
  );
});

test("another runtime's words are repeated asLaunchError", () => {
  const words = "exec /app: no such file or directory";
  const error = asLaunchError(new LauncherError(words, 121), ops);
  assert.ok(error instanceof LaunchError);
  assert.deepEqual([error.message, error.exitCode], [words, 127]);
});

test("other errors stay as they are asLaunchError", () => {
  const error = new Error("aborted");
  assert.equal(asLaunchError(error, ops), error);
});
