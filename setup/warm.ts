// Compiles what a server or an agent runs into Node's compile cache, by loading it: `warm.ts server|agent`, with their flags of V8, which
// are a part of the cache's key. Types are stripped from TypeScript only when something is not there, and what does that takes 16 MB.
import { flushCompileCache } from "node:module";

const files: Readonly<Record<string, readonly string[]>> = {
  server: ["../cli/commands.ts", "../cli/commands/server.ts", "../server/main.ts", "../api/store/sqlite.ts"],
  agent: ["../cli/commands.ts", "../cli/commands/agent.ts", "../node-agent/main.ts", "../client/join.ts"],
};

for (const file of files[process.argv[2] ?? ""] ?? []) await import(file);
flushCompileCache();
