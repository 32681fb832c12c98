// naru completion: a script for the shell, made from the list of commands and their options.
import { type Command, UsageError } from "../command.ts";
import { commands } from "../commands.ts";

export const completion: Command = {
  name: "completion",
  summary: "Print shell completion for bash or zsh",
  usage: "completion bash|zsh",
  examples: ["source <(naru completion bash)", "naru completion zsh > ~/.zsh/completion/_naru"],
  options: {},
  run: async ({ positionals: [shell] }) => {
    if (shell !== "bash" && shell !== "zsh") throw new UsageError("completion takes bash or zsh");
    const loaded = await Promise.all(commands.map(({ load }) => load()));
    const cases = loaded.map(
      ({ name, options }) =>
        `    ${name}) words="${Object.keys(options)
          .map((option) => `--${option}`)
          .join(" ")} ${wordsOf(name)}" ;;`,
    );
    const script = [
      "_naru() {",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own.
      '  local current="${COMP_WORDS[COMP_CWORD]}" words=""',
      '  if [ "$COMP_CWORD" -eq 1 ]; then',
      `    words="${loaded.map(({ name }) => name).join(" ")} help --version"`,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own.
      '  else case "${COMP_WORDS[1]}" in',
      ...cases,
      "  esac; fi",
      '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
      "}",
      "complete -o default -F _naru naru",
    ];
    console.log([...(shell === "zsh" ? ["autoload -U +X bashcompinit && bashcompinit"] : []), ...script].join("\n"));
    return 0;
  },
};

const kindWords =
  "pods nodes deployments replicasets services configmaps secrets namespaces events endpointslices serviceaccounts leases all";

function wordsOf(command: string): string {
  switch (command) {
    case "get":
    case "describe":
    case "delete":
      return kindWords;
    case "scale":
      return "deployment/ replicaset/";
    case "rollout":
      return "status undo history restart";
    case "image":
      return "ls pull import rm";
    default:
      return "";
  }
}
