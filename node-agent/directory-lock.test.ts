// Two agents never work in one directory, and a killed one does not keep the next from it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { agentIn, isLocked, lockAgent, lockDirectory } from "./directory-lock.ts";

test("a second holder is refused, also in another process, until the first is gone lockDirectory", () => {
  const directory = mkdtempSync(join(tmpdir(), "naru-lock-"));
  const module = new URL("./directory-lock.ts", import.meta.url).href;
  const elsewhere = (end: string) => {
    const script = `import { agentIn, isLocked, lockAgent, lockDirectory } from ${JSON.stringify(module)};
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

test("an agent is found by its directory, and neither one that died nor one that is ending agentIn", () => {
  const directory = mkdtempSync(join(tmpdir(), "naru-lock-"));
  const look = () => [agentIn(directory), isLocked(directory)];
  try {
    const seen = [look()];
    {
      using _held = lockAgent(directory);
      seen.push(look());
      rmSync(join(directory, "agent.pid"));
      seen.push(look());
    }
    writeFileSync(join(directory, "agent.pid"), "4194304");
    assert.deepEqual(
      [...seen, look()],
      [
        [undefined, false],
        [process.pid, true],
        [undefined, true],
        [undefined, false],
      ],
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
