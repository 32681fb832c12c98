// Two agents never work in one directory, and a killed one does not keep the next from it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockDirectory } from "./directory-lock.ts";

test("a second holder is refused, also in another process, until the first is gone lockDirectory", () => {
  const directory = mkdtempSync(join(tmpdir(), "naru-lock-"));
  const module = new URL("./directory-lock.ts", import.meta.url).href;
  const elsewhere = (end: string) => {
    const script = `import { lockDirectory } from ${JSON.stringify(module)};
      try { lockDirectory(${JSON.stringify(directory)}); console.log("held"); } catch (error) { console.log(error.message); }
      ${end}`;
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
    try {
      return execFileSync(process.execPath, args, { encoding: "utf8" }).trim();
    } catch (error) {
      return (error as { stdout: string }).stdout.trim();
    }
  };
  const refusal = `another agent works in ${directory} already`;
  try {
    const first = elsewhere("process.kill(process.pid, 9);");
    const outcomes = [first];
    {
      using _held = lockDirectory(directory);
      assert.throws(() => lockDirectory(directory), { message: refusal });
      outcomes.push(elsewhere(""));
    }
    assert.deepEqual([...outcomes, elsewhere("")], ["held", refusal, "held"]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
