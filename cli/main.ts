// The naru command: finds the subcommand, runs it, turns its end into an exit code (0 done, 1 failed, 2 wrong usage).
import { readFileSync } from "node:fs";
import { nearest } from "../lib/similar.ts";
import { helpOf, parseInvocation, UsageError } from "./command.ts";
import { commands } from "./commands.ts";
import { complain } from "./explain.ts";

const [name = "help", ...args] = process.argv.slice(2);
const stop = new AbortController();
process.exitCode = await main();

async function main(): Promise<number> {
  if (name === "--version" || name === "version") {
    console.log(`naru ${version()}`);
    return 0;
  }
  if (["help", "--help", "-h"].includes(name) && args.length === 0) {
    console.log(overview());
    return 0;
  }
  const wanted = name === "help" ? args[0] : name;
  const loadCommand = commands.find((command) => command.name === wanted);
  if (loadCommand === undefined) {
    const near = nearest(
      wanted ?? "",
      commands.map((command) => command.name),
    );
    const hint = near === undefined ? "`naru help` lists them" : `did you mean \`naru ${near}\`?`;
    console.error(`naru: there is no command ${JSON.stringify(wanted)}; ${hint}`);
    return 2;
  }
  const command = await loadCommand.load();
  const end = args.indexOf("--");
  if (name === "help" || (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h")) {
    console.log(helpOf(command));
    return 0;
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => stop.abort(new Error(signal)));
  // `naru get | head` is no failure; `naru up | head` is no end.
  const endures = command.runsUntilSignalled === true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => endures || process.exit(error.code === "EPIPE" ? 0 : 1));
  try {
    return (await command.run(parseInvocation(command, args, stop.signal))) ?? 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(
        `naru ${command.name}: ${error.message}\nUsage: naru ${command.usage}\nMore: naru ${command.name} --help`,
      );
      return 2;
    }
    // What goes wrong while it ends is to be told.
    if (stop.signal.aborted && (!endures || isInterruption(error))) return 130;
    complain(error);
    return 1;
  }
}

function isInterruption(error: unknown): boolean {
  return error === stop.signal.reason || (error instanceof Error && error.name === "AbortError");
}

function overview(): string {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  const width = Math.max(...shown.map((command) => command.name.length));
  return [
    "naru runs containers on many machines: declare services in YAML, Naru keeps them running.",
    "",
    "Usage: naru COMMAND [options]",
    "",
    ...shown.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    "",
    "`naru COMMAND --help` tells more, with examples. kubectl and Helm work as well: `export KUBECONFIG=…` as `naru up` prints it.",
  ].join("\n");
}

function version(): string {
  return (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version;
}
