// naru completion: a script for the shell, which asks `naru complete` for what could follow.
import { type Command, UsageError } from "../command.ts";

/* biome-ignore-start lint/suspicious/noTemplateCurlyInString: the shells' own. */
const scripts: Readonly<Record<string, readonly string[]>> = {
  bash: [
    "_naru() {",
    "  local IFS=$'\\n'",
    '  COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))',
    // "deployment/" goes on with a name.
    '  [[ "${COMPREPLY[0]}" == */ ]] && compopt -o nospace 2>/dev/null',
    "  return 0",
    "}",
    "complete -o default -F _naru naru",
  ],
  zsh: [
    "#compdef naru",
    "_naru() {",
    "  local -a found",
    '  found=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")',
    '  if [[ -z "${found[1]}" ]]; then _files; return; fi',
    '  if [[ "${found[1]}" == */ ]]; then compadd -S "" -a found; else compadd -a found; fi',
    "}",
    "compdef _naru naru",
  ],
  fish: [
    "function __naru_complete",
    "  set -l words (commandline -opc) (commandline -ct)",
    "  $words[1] complete -- $words[2..-1] 2>/dev/null",
    "end",
    "complete -c naru -a '(__naru_complete)'",
  ],
};
/* biome-ignore-end lint/suspicious/noTemplateCurlyInString: the shells' own. */

export const completion: Command = {
  name: "completion",
  summary: "Print shell completion for bash, zsh or fish",
  usage: "completion bash|zsh|fish",
  examples: [
    "source <(naru completion bash)",
    "source <(naru completion zsh)",
    "naru completion fish > ~/.config/fish/completions/naru.fish",
  ],
  options: {},
  arguments: [{ type: "words", words: Object.keys(scripts) }],
  run: async ({ positionals: [shell] }) => {
    const script = scripts[shell ?? ""];
    if (script === undefined) throw new UsageError(`completion takes ${Object.keys(scripts).join(", ")}`);
    console.log(script.join("\n"));
    return 0;
  },
};
