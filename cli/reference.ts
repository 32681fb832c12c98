// The command reference as Markdown, from the commands' own data: docs/reference/commands.md is this text.
import type { Command } from "./command.ts";
import { commands } from "./commands.ts";

export async function renderReference(): Promise<string> {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  const loaded = await Promise.all(shown.map(({ load }) => load()));
  return [
    "# Commands",
    "",
    "Generated from `naru COMMAND --help` by `npm run generate`; change the commands, not this page.",
    "",
    "Exit codes: 0 done, 1 failed, 2 wrong usage. `exec` ends with the code of the command that it ran. Colours and live progress appear on",
    "a terminal only; `NO_COLOR=1` leaves colours out, `NARU_DEBUG=1` adds stack traces to errors.",
    "",
    ...loaded.map(({ name, summary }) => `- [naru ${name}](#naru-${name}): ${summary}`),
    ...loaded.flatMap(renderCommand),
    "",
  ].join("\n");
}

function renderCommand({ name, summary, usage, options, examples }: Command): readonly string[] {
  const rows = Object.entries(options).map(([option, { short, value, help }]) => {
    const flag = `${short === undefined ? "" : `-${short}, `}--${option}${value === undefined ? "" : ` ${value}`}`;
    return `| \`${flag}\` | ${help.replaceAll("|", "\\|")} |`;
  });
  return [
    "",
    `## naru ${name}`,
    "",
    `${summary}.`,
    "",
    "```",
    `naru ${usage}`,
    "```",
    ...(rows.length === 0 ? [] : ["", "| option | what |", "|---|---|", ...rows]),
    "",
    "```sh",
    ...examples,
    "```",
  ];
}
