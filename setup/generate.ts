// All that is generated: kinds from facts, the command reference from the commands, the agent-server conversation from its .proto file.
import { execFileSync } from "node:child_process";
import "./generate-commands.ts";
import "./generate-kinds.ts";

execFileSync("node_modules/.bin/buf", ["generate"], { cwd: new URL("..", import.meta.url).pathname, stdio: "inherit" });
