// All generated code: kinds from facts, the agent-server conversation from its .proto file.
import { execFileSync } from "node:child_process";
import "./generate-kinds.ts";

execFileSync("node_modules/.bin/buf", ["generate"], { cwd: new URL("..", import.meta.url).pathname, stdio: "inherit" });
