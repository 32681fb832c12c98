// The program that is process 1 of containers with --init: what it hands on to its only program, and what it gives back.
import { deepEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const initPath = new URL("build/naru-init", import.meta.url).pathname;

function runUnderInit(script: string): readonly [code: number | null, output: string] {
  const { status, stdout } = spawnSync(initPath, ["--", "sh", "-c", script], { encoding: "utf8", timeout: 10_000 });
  return [status, stdout.trim()];
}

test("naru-init gives its program no signal that is ignored or blocked, and its own process group", () => {
  deepEqual(
    runUnderInit(
      "grep -E '^Sig(Ign|Blk)' /proc/self/status; set -- $(cat /proc/$$/stat); [ $5 = $$ ] && echo own group",
    ),
    [0, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nown group"],
  );
});

test("naru-init ends as its program ended", () => {
  deepEqual(
    ["exit 42", "kill -KILL $$"].map((script) => runUnderInit(script)[0]),
    [42, 128 + 9],
  );
});
