// What a Dockerfile says that is allowed and probably not meant. Rules have the names that `docker build --check` gives them, so that
// "# check=skip=NAME" means the same. Pure.
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";
import { splitWords } from "./words.ts";

export interface LintWarning {
  readonly rule: string;
  readonly text: string;
  readonly line: number;
}

type Say = (instruction: Instruction, text: string) => void;
type Rule = (dockerfile: Dockerfile, say: Say) => void;

const rules: Readonly<Record<string, Rule>> = {
  ConsistentInstructionCasing: (dockerfile, say) => {
    const all = allInstructions(dockerfile);
    const upper = all.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
    const wanted = upper * 2 >= all.length ? "upper" : "lower";
    for (const each of all)
      if (each.keyword !== (wanted === "upper" ? each.kind : each.kind.toLowerCase()))
        say(each, `${each.keyword} is not in ${wanted} case as most instructions are`);
  },
  FromAsCasing: ({ stages }, say) => {
    for (const { from } of stages) {
      const { as } = stageWords(from);
      if (as !== undefined && isUpper(as) !== isUpper(from.keyword))
        say(from, `${JSON.stringify(as)} is in another case than ${JSON.stringify(from.keyword)}`);
    }
  },
  StageNameCasing: ({ stages }, say) => {
    for (const { from } of stages) {
      const { name = "" } = stageWords(from);
      if (name !== name.toLowerCase()) say(from, `the stage's name ${JSON.stringify(name)} should be in lower case`);
    }
  },
  ReservedStageName: ({ stages }, say) => {
    for (const { from } of stages)
      if (from.name === "scratch" || from.name === "context")
        say(from, `${from.name} has a meaning of its own: name the stage otherwise`);
  },
  FromPlatformFlagConstDisallowed: ({ stages }, say) => {
    for (const { from } of stages)
      if (from.platform !== undefined && !from.platform.includes("$"))
        say(
          from,
          `--platform=${from.platform} is the same for every target: take it from the command, or name it in a stage's name`,
        );
  },
  RedundantTargetPlatform: ({ stages }, say) => {
    for (const { from } of stages)
      if (/^\$\{?TARGETPLATFORM\}?$/.test(from.platform ?? "")) say(from, `--platform=${from.platform} is the default`);
  },
  UndefinedArgInFrom: ({ stages, args }, say) => {
    const known = new Set([...args.flatMap((each) => each.args.map(({ name }) => name)), ...platformArgs]);
    for (const { from } of stages)
      for (const name of variablesOf(`${from.image} ${from.platform ?? ""}`))
        if (!known.has(name)) say(from, `$${name} is no ARG before the first FROM`);
  },
  NoEmptyContinuation: (dockerfile, say) => {
    for (const each of allInstructions(dockerfile)) {
      const isHeredoc = "heredocs" in each && each.heredocs.length > 0;
      const lines = dockerfile.lines.slice(each.position.line - 1, each.endLine);
      if (!isHeredoc && lines.some((line) => line.trim() === ""))
        say(each, "an empty line is within it: the lines go on behind it");
    }
  },
  JSONArgsRecommended: ({ stages }, say) => {
    for (const { instructions } of stages) {
      if (instructions.some(({ kind }) => kind === "SHELL")) continue;
      for (const each of instructions)
        if (
          (each.kind === "CMD" || each.kind === "ENTRYPOINT") &&
          each.command.form === "shell" &&
          each.command.line !== ""
        )
          say(each, `${each.kind} runs below a shell, which gets its signals: write a list in JSON`);
    }
  },
  MaintainerDeprecated: ({ stages }, say) => {
    for (const each of ofKind(stages, "MAINTAINER"))
      say(each, 'MAINTAINER is deprecated: LABEL org.opencontainers.image.authors="…" says the same');
  },
  WorkdirRelativePath: ({ stages }, say) => {
    for (const { instructions } of stages) {
      const [first] = instructions.filter((each) => each.kind === "WORKDIR");
      if (first !== undefined && !/^["']?[/$]/.test(first.path))
        say(first, `${first.path} is relative to whatever the image below says`);
    }
  },
  MultipleInstructionsDisallowed: ({ stages }, say) => {
    for (const { instructions } of stages)
      for (const kind of ["CMD", "ENTRYPOINT", "HEALTHCHECK"] as const)
        for (const each of instructions.filter((other) => other.kind === kind).slice(0, -1))
          say(each, `only the last ${kind} of a stage counts`);
  },
  LegacyKeyValueFormat: ({ stages }, say) => {
    for (const kind of ["ENV", "LABEL"] as const)
      for (const each of ofKind(stages, kind)) {
        const [, first] = splitWords(each.text, "\\");
        if (first?.word.includes("=") === false)
          say(each, `${kind} KEY VALUE is the old form: write ${kind} KEY=VALUE`);
      }
  },
  SecretsUsedInArgOrEnv: ({ stages }, say) => {
    for (const each of [...ofKind(stages, "ARG"), ...ofKind(stages, "ENV")]) {
      const names = each.kind === "ARG" ? each.args.map(({ name }) => name) : each.pairs.map(({ key }) => key);
      for (const name of names)
        if (isSecretName(name)) say(each, `${name} stays readable in the image: use RUN --mount=type=secret`);
    }
  },
  ExposeProtoCasing: ({ stages }, say) => {
    for (const each of ofKind(stages, "EXPOSE"))
      for (const port of each.ports)
        if (!port.includes("$") && port !== port.toLowerCase())
          say(each, `${port}: the protocol should be in lower case`);
  },
};

/** In the order of lines; those that "# check=skip=…" names are left out. */
export function lintDockerfile(dockerfile: Dockerfile): readonly LintWarning[] {
  const { skip } = dockerfile.check;
  const found: LintWarning[] = [];
  for (const [rule, check] of Object.entries(rules)) {
    if (skip.includes("all") || skip.includes(rule.toLowerCase())) continue;
    check(dockerfile, (instruction, text) => found.push({ rule, text, line: instruction.position.line }));
  }
  return found.sort((a, b) => a.line - b.line);
}

const platformArgs = ["BUILD", "TARGET"].flatMap((what) =>
  ["PLATFORM", "OS", "ARCH", "VARIANT", "STAGE"].map((part) => what + part),
);

function allInstructions({ args, stages }: Dockerfile): readonly Instruction[] {
  return [...args, ...stages.flatMap(({ from, instructions }) => [from, ...instructions])];
}

function ofKind<Kind extends Instruction["kind"]>(
  stages: readonly Stage[],
  kind: Kind,
): readonly Extract<Instruction, { kind: Kind }>[] {
  return stages.flatMap(({ instructions }) =>
    instructions.filter((each): each is Extract<Instruction, { kind: Kind }> => each.kind === kind),
  );
}

function stageWords({ text }: Instruction): { readonly as?: string | undefined; readonly name?: string | undefined } {
  const [, as, name] = /\s(as)\s+(\S+)$/i.exec(text) ?? [];
  return { as, name };
}

function isUpper(text: string): boolean {
  return text === text.toUpperCase();
}

// Those that have no value to fall back to.
function variablesOf(text: string): readonly string[] {
  return [...text.matchAll(/\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)[}#%/])/g)].map(
    ([, plain, braced]) => plain ?? braced ?? "",
  );
}

function isSecretName(name: string): boolean {
  const words = name.toLowerCase().split("_");
  const secret = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
  ];
  return words.some((word) => secret.includes(word)) && !words.includes("public");
}
