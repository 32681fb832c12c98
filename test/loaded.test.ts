// What is in an agent's and a server's memory from their start: packages and parts of Node that only some of them ever need come later.
import { deepEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("..", import.meta.url).pathname;
const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>;
};

/** Those of our dependencies that a file brings along when it is imported, and what of Node is known to be dear. */
function loadedBy(file: string): readonly string[] {
  const script = `
    import { registerHooks } from "node:module";
    const packages = new Set();
    registerHooks({
      load(url, context, next) {
        const [, name] = /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url) ?? [];
        if (name !== undefined) packages.add(name);
        return next(url, context);
      },
    });
    await import("./${file}");
    const dear = ["internal/deps/undici/undici", "internal/deps/amaro/dist/index"];
    const ofNode = dear.filter((name) => process.moduleLoadList.includes("NativeModule " + name));
    console.log(JSON.stringify([...packages, ...ofNode].sort()));
    process.exit();`;
  const args = ["--import=./setup/load-stripped.mjs", "--input-type=module", "--eval", script];
  const { stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  return (JSON.parse(stdout) as readonly string[]).filter(
    (name) => name in dependencies || name.startsWith("internal/"),
  );
}

test("an agent starts without packages that it may never need", () => {
  deepEqual(loadedBy("node-agent/main.ts"), ["@bufbuild/protobuf", "@grpc/grpc-js", "dns-packet"]);
});

test("a server starts without packages that it may never need", () => {
  deepEqual(loadedBy("server/main.ts"), [
    "@bufbuild/protobuf",
    "@grpc/grpc-js",
    "@peculiar/x509",
    "croner",
    "fastify",
    "jose",
    "pino",
    "prom-client",
    "reflect-metadata",
    "ws",
  ]);
});
