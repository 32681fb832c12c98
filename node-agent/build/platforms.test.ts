import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTestFolder } from "../../test/folders.ts";
import { hostPlatform } from "../images/manifest.ts";
import { canRun, readPlatform } from "./platforms.ts";

test("readPlatform takes what Docker writes", () => {
  assert.deepEqual(
    ["linux/arm64", "linux/ARM/v7", "linux/x86_64", "windows/amd64", "linux", "a/b/c/d"].map(readPlatform),
    [
      { os: "linux", architecture: "arm64" },
      { os: "linux", architecture: "arm", variant: "v7" },
      { os: "linux", architecture: "amd64" },
      undefined,
      undefined,
      undefined,
    ],
  );
});

test("canRun finds interpreters that are there in every container", async () => {
  const folder = makeTestFolder("binfmt");
  const entry = (state: string, flags: string, machine: string) =>
    `${state}\ninterpreter /usr/bin/qemu\nflags: ${flags}\noffset 0\nmagic 7f454c460201010000000000000000000200${machine}\nmask ff\n`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "status"), "enabled\n");
  writeFileSync(join(folder, "qemu-riscv64"), entry("enabled", "OCF", "f300"));
  writeFileSync(join(folder, "qemu-ppc64le"), entry("enabled", "OC", "1500"));
  writeFileSync(join(folder, "qemu-s390x"), entry("disabled", "OCF", "0016"));
  const can = (architecture: string, directory = folder) => canRun({ os: "linux", architecture }, directory);
  const { architecture } = hostPlatform();
  const answers = [
    can("riscv64"),
    can("ppc64le"),
    can("s390x"),
    can("vax"),
    can(architecture),
    can("riscv64", "/none"),
  ];
  assert.deepEqual(await Promise.all(answers), [true, false, false, false, true, false]);
  rmSync(folder, { recursive: true });
});
