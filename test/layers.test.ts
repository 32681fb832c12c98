// Who may import whom, read from the imports themselves, so that the table in ARCHITECTURE.md stays true.
import { deepEqual, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const root = new URL("..", import.meta.url).pathname;

// First match wins. A room may import itself, and rooms that its line names.
const mayImport: readonly (readonly [room: string, rooms: readonly string[]])[] = [
  ["lib", []],
  ["proto", []],
  ["api/kinds", ["lib"]],
  ["api/store", ["lib", "api/kinds"]],
  ["node-agent/runtime", ["lib", "node-agent/images/images.ts"]],
  ["node-agent/oci", ["package.json", "lib", "node-agent/runtime"]],
  ["node-agent/images", ["lib", "node-agent/runtime/runtime.ts"]],
  ["node-agent/build", ["lib", "node-agent/images", "node-agent/runtime"]],
  ["node-agent/registry", ["lib", "node-agent/images"]],
  ["node-agent/network", ["lib", "api/kinds", "node-agent/launcher", "node-agent/runtime"]],
  ["node-agent/volumes", ["lib", "api/kinds", "node-agent/runtime/runtime.ts"]],
  [
    "node-agent/docker",
    [
      ...["lib", "node-agent/runtime", "node-agent/images", "node-agent/network", "node-agent/build"],
      ...["node-agent/streams/read-log.ts", "node-agent/streams/log-records.ts", "node-agent/volumes/propagation.ts"],
      "node-agent/volumes/mounts.ts",
    ],
  ],
  ["node-agent", ["package.json", "lib", "api/kinds", "proto", "client/join.ts", "client/token-review.ts"]],
  ["api", ["lib", "proto", "client"]],
  ["client", ["lib", "api/kinds", "api"]],
  ["scheduler", ["lib", "api/kinds", "client"]],
  ["controllers", ["lib", "api/kinds", "client"]],
  ["server", ["package.json", "lib", "api", "client", "controllers", "scheduler", "proto"]],
  ["charts", ["lib"]],
  ["compose", ["lib", "api/kinds"]],
  [
    "cli",
    ["package.json", "lib", "api/kinds", "api/pki", "api/store", "client", "charts", "compose", "server", "node-agent"],
  ],
];
// Files that decide and do nothing else.
const pure = [
  /^api\/kinds\//,
  /^scheduler\/(schedule|snapshot|requirements|profile|plugin)\.ts$/,
  /^scheduler\/plugins\//,
  /^node-agent\/build\/dockerfile\//,
  /^node-agent\/eviction\/(thresholds|reserve|plan-.*)\.ts$/,
];

const files = (
  await Array.fromAsync(
    glob("{api,charts,cli,client,compose,controllers,lib,node-agent,proto,scheduler,server}/**/*.ts", { cwd: root }),
  )
)
  .filter(
    (file) =>
      !/\.test\.ts$|\/contract\.ts$|\/(?:launcher|images)\/build\/|\/image\//.test(file) &&
      !file.includes("node_modules"),
  )
  .sort();

test("rooms import only what the table allows", () => {
  ok(files.length > 50, "the check must look at the real files");
  deepEqual(
    files.flatMap((file) =>
      importsOf(file)
        .filter((target) => !allowed(file, target))
        .map((target) => `${file} -> ${target}`),
    ),
    [],
  );
});

test("pure files reach for nothing outside", () => {
  const found = files
    .filter((file) => pure.some((pattern) => pattern.test(file)))
    .filter((file) =>
      /from "node:|Date\.now\(|Math\.random\(|\basync\b|\bawait\b/.test(
        readFileSync(join(root, file), "utf8").replace(/\/\/.*/g, ""),
      ),
    );
  deepEqual(found, []);
});

test("nothing that lives long imports node:http, which brings Node's web clients along: lib/node-http.ts has it without", () => {
  const found = files
    .filter((file) => !file.startsWith("cli/"))
    .filter((file) => /^import (?!type\b)[^;]*from "node:http";/m.test(readFileSync(join(root, file), "utf8")));
  deepEqual(found, []);
});

test("nothing that lives long sorts by a language's rules, for which ICU's tables of 3 MB are read", () => {
  const found = files
    .filter((file) => !file.startsWith("cli/"))
    .filter((file) => readFileSync(join(root, file), "utf8").includes(".localeCompare("));
  deepEqual(found, []);
});

function allowed(file: string, target: string): boolean {
  const line = mayImport.find(([room]) => inside(file, room));
  return line !== undefined && (inside(target, line[0]) || line[1].some((room) => inside(target, room)));
}

function inside(file: string, room: string): boolean {
  return file === room || file.startsWith(`${room}/`);
}

function importsOf(file: string): readonly string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map(([, path]) =>
    normalize(join(dirname(file), path ?? "")),
  );
}
