// naru-oci: Naru's container runtime from the command line, as the OCI runtime specification wants it, for docker, podman and containerd.
import { appendFileSync, writeSync } from "node:fs";
import packageJson from "../../package.json" with { type: "json" };
import { type Arguments, type OptionSpec, optionValue, parseArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { absentCommands, commands } from "./commands.ts";
import { ociVersion } from "./state.ts";

const helpOption: OptionSpec = { name: "help", short: "h", help: "print this" };
const globalOptions: readonly OptionSpec[] = [
  { name: "root", value: "directory", help: "where containers are known (/run/naru-oci)" },
  { name: "log", value: "file", help: "where errors go besides standard error" },
  { name: "log-format", value: "format", help: "text or json" },
  { name: "debug", help: "accepted; there is nothing more to say" },
  { name: "systemd-cgroup", help: "refused: cgroups are made in cgroupfs" },
  { name: "rootless", value: "auto|false", help: "refused unless false or auto: it runs as root" },
  { name: "version", short: "v", help: "print the version" },
  helpOption,
];

process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  let log: Log = () => {};
  try {
    const globals = parseArguments(words, globalOptions, { interleaved: false });
    log = openLog(globals);
    if (globals.flags.has("version")) return print(`naru-oci ${packageJson.version}\nspec: ${ociVersion}\n`);
    const [name, ...rest] = globals.rest;
    if (globals.flags.has("help") || name === undefined || name === "help") return print(await help());
    if (name === "--version") return print(`naru-oci ${packageJson.version}\n`);
    check(globals);
    const line = commands.find((one) => one.name === name);
    if (line === undefined) {
      const there = commands.map((one) => one.name).join(", ");
      throw new Error(`${name}: ${absentCommands.get(name) ?? "unknown command"}; there are ${there}`);
    }
    const command = await line.load();
    const options = [...command.options, helpOption];
    const args = parseArguments(rest, options, { interleaved: command.takesProgram !== true });
    if (args.flags.has("help")) return print(commandHelp(command));
    const warn = (message: string) => log("warning", message);
    return await command.run(args, { root: optionValue(globals, "root") ?? "/run/naru-oci", warn });
  } catch (error) {
    const message = wordsOf(error);
    log("error", message);
    // Not through process.stderr, which could change what the container inherits.
    writeSync(2, `naru-oci: ${message}\n`);
    return 1;
  }
}

function check(globals: Arguments): void {
  if (globals.flags.has("systemd-cgroup"))
    throw new Error("--systemd-cgroup: naru-oci makes cgroups in cgroupfs; configure that driver");
  const rootless = optionValue(globals, "rootless") ?? "auto";
  if (rootless !== "auto" && rootless !== "false") throw new Error("--rootless: naru-oci runs as root");
  if (process.getuid?.() !== 0) throw new Error("naru-oci runs as root");
}

type Log = (level: "warning" | "error", message: string) => void;

function openLog(globals: Arguments): Log {
  const path = optionValue(globals, "log");
  const format = optionValue(globals, "log-format") ?? "text";
  if (format !== "text" && format !== "json") throw new Error(`--log-format ${format}: text or json is expected`);
  return (level, msg) => {
    const time = new Date().toISOString();
    const line =
      format === "json"
        ? JSON.stringify({ level, msg, time })
        : `time=${time} level=${level} msg=${JSON.stringify(msg)}`;
    if (path !== undefined) appendFileSync(path, `${line}\n`, { mode: 0o600 });
    else if (level === "warning") writeSync(2, `naru-oci: ${msg}\n`);
  };
}

/** What was being done, and why not. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const known = error.name === "LaunchError" || error.name === "ConfigError";
  return known || error.cause === undefined ? error.message : `${error.message}: ${wordsOf(error.cause)}`;
}

function print(text: string): number {
  writeSync(1, text);
  return 0;
}

async function help(): Promise<string> {
  const all = await Promise.all(commands.map(({ load }) => load()));
  return [
    "naru-oci [options] <command>: runs containers from OCI bundles",
    "",
    ...all.map(({ usage, help: words }) => `  ${usage.padEnd(48)} ${words}`),
    "",
    ...globalOptions.map(describe),
    "",
  ].join("\n");
}

function commandHelp({ usage, help: words, options }: Command): string {
  return [`naru-oci ${usage}: ${words}`, "", ...[...options, helpOption].map(describe), ""].join("\n");
}

function describe({ name, short, value, help: words }: OptionSpec): string {
  const names = `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` <${value}>`}`;
  return `  ${names.padEnd(48)} ${words}`;
}
