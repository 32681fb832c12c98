// Which OCI runtimes a node finds, and what they say they can.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { builtInHandlers, checkHandler, featuresOf } from "./oci-handlers.ts";
import { findOciPrograms, parseOciProgram } from "./oci-programs.ts";
import { ociLaunchError } from "./oci-runtime.ts";

test("a name, a path and options, or what is wrong with them parseOciProgram", () => {
  assert.deepEqual(parseOciProgram("runsc=/usr/bin/runsc  --platform=systrap --debug"), {
    handler: "runsc",
    path: "/usr/bin/runsc",
    args: ["--platform=systrap", "--debug"],
  });
  for (const text of ["runc", "Runc=/x", "runc=x", "runc="])
    assert.throws(() => parseOciProgram(text), /must look like NAME=\/PATH\/OF\/PROGRAM \[OPTION…\]/);
  assert.throws(() => parseOciProgram("naru=/usr/bin/runc"), /naru is the built-in runtime's name/);
});

test("configured ones first, runc and crun of the PATH behind findOciPrograms", () => {
  const folder = mkdtempSync(join(tmpdir(), `naru-programs-${process.pid}-`));
  const [first, second] = [join(folder, "first"), join(folder, "second")];
  try {
    for (const path of [first, second]) mkdirSync(path);
    for (const name of ["runc", "crun", "other"]) writeFileSync(join(second, name), "", { mode: 0o755 });
    writeFileSync(join(first, "runc"), "", { mode: 0o644 });
    const other = { handler: "crun", path: join(second, "other"), args: ["--x"] };
    const found = findOciPrograms([other], `relative:${first}:${second}`);
    assert.deepEqual(found, [other, { handler: "runc", path: join(second, "runc"), args: [] }]);
    assert.throws(
      () => findOciPrograms([{ ...other, path: join(first, "runc") }], ""),
      /OCI runtime crun: .*first\/runc is no program that can be executed/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what a runtime prints of itself, or nothing from an old one featuresOf", () => {
  const printed = (namespaces: unknown) => JSON.stringify({ ociVersionMin: "1.0.0", linux: { namespaces } });
  assert.deepEqual(
    [printed(["pid", "user"]), printed(["pid"]), printed(5), "unknown command", undefined].map(
      (text) => featuresOf(text).userNamespaces,
    ),
    [true, false, false, false, false],
  );
});

test("the built-in runtime by any of its names, others refused with what there is checkHandler", () => {
  for (const name of [undefined, "", "naru"]) checkHandler(name, builtInHandlers);
  assert.throws(
    () => checkHandler("runsc", builtInHandlers),
    /^Error: failed to get sandbox runtime: no runtime for "runsc" is configured, this node has naru$/,
  );
});

test("a program that the node does not use is refused with the reason checkHandler", () => {
  const runc = { handler: "runc", path: "/usr/sbin/runc", args: [], refused: "it is below a chroot" };
  assert.throws(
    () => checkHandler("runc", builtInHandlers, [runc]),
    /^Error: failed to get sandbox runtime: runtime "runc" is not used: it is below a chroot$/,
  );
});

test("each runtime's words, with the exit code that engines give them ociLaunchError", () => {
  const words = [
    'runc create failed: unable to start container process: exec: "/nowhere": stat /nowhere: no such file or directory',
    'exec failed: unable to start container process: exec: "nowhere": executable file not found in $PATH',
    "executable file `nowhere` not found in $PATH: No such file or directory",
    'runc create failed: unable to start container process: exec: "/etc/passwd": permission denied',
    "open executable: Permission denied",
    "mount `/x` to `/y`: No such file or directory",
    'runc create failed: unable to start container process: error mounting "/x" to rootfs at "/y": permission denied',
  ];
  assert.deepEqual(
    words.map((text) => ociLaunchError(text, undefined).exitCode),
    [127, 127, 127, 126, 126, 128, 128],
  );
});
