// Writes sources without their types to a folder: `strip.mjs FOLDER ROOM…`. Lines stay where they are, so stack traces stay true. The
// folder is exchanged as a whole: nobody reads half a file, and nothing of what is no more piles up.
import { globSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";

const [folder = "", ...rooms] = process.argv.slice(2);
// A source that changes meanwhile must count as newer.
const begun = new Date();
const next = `${folder}.next`;
rmSync(next, { recursive: true, force: true });
for (const path of globSync(`{${rooms}}/**/*.ts`, { exclude: ["**/*.test.ts"] })) {
  const target = join(next, path);
  mkdirSync(dirname(target), { recursive: true });
  try {
    writeFileSync(target, stripTypeScriptTypes(readFileSync(path, "utf8")));
    utimesSync(target, begun, begun);
  } catch {
    // What cannot be read is told where it is used.
  }
}
utimesSync(next, begun, begun);
rmSync(folder, { recursive: true, force: true });
renameSync(next, folder);
