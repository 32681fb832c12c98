// Instructions of `commit --change` and `import --change`: what they set of an image's config, read as a Dockerfile's. Pure.
import { DockerfileError } from "../../build/build.ts";
import type { Instruction } from "../../build/dockerfile/instructions.ts";
import { parseDockerfile } from "../../build/dockerfile/parse.ts";
import { applyToConfig, Expander, emptyConfig, type StageState } from "../../build/stage-state.ts";
import type { ImageConfig } from "../../images/images.ts";
import { badRequest } from "../http/problem.ts";

const kinds: readonly Instruction["kind"][] = [
  ...(["CMD", "ENTRYPOINT", "HEALTHCHECK", "ENV", "LABEL", "EXPOSE"] as const),
  ...(["USER", "WORKDIR", "VOLUME", "STOPSIGNAL", "ONBUILD"] as const),
];
const file = "change";

/** What `base` becomes: as in a Dockerfile, ENV, LABEL, EXPOSE and VOLUME add to what is there. */
export function parseChanges(lines: readonly string[], base: Partial<ImageConfig> = {}): Partial<ImageConfig> {
  let state: StageState = {
    ...{ config: { ...emptyConfig, ...base }, args: new Map(), hasCmd: true },
    author: undefined,
  };
  for (const line of lines.map((text) => text.trim()).filter((text) => text !== "")) state = apply(state, line);
  const before = new Map<string, unknown>(Object.entries(emptyConfig));
  const changed = Object.entries(state.config).filter(([key, value]) => value !== before.get(key));
  return { ...base, ...Object.fromEntries(changed) };
}

function apply(state: StageState, line: string): StageState {
  try {
    const { stages, escapeMark } = parseDockerfile(`FROM scratch\n${line}`, file);
    const [instruction] = stages.flatMap(({ instructions }) => instructions);
    if (instruction === undefined || !kinds.includes(instruction.kind))
      throw badRequest(
        `${JSON.stringify(line)}: ${instruction?.kind ?? line} is not an instruction that changes can have; there are ${kinds.join(", ")}`,
      );
    const expander = new Expander(state, { file, escapeMark, instruction });
    if (instruction.kind === "WORKDIR")
      return { ...state, config: { ...state.config, workingDir: expander.word(instruction.path) } };
    const sources = { given: {}, global: new Map<string, string>() };
    return applyToConfig(state, instruction, { expander, sources }) ?? state;
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw badRequest(`${JSON.stringify(line)}: ${error.message.replace(/^\w+:\d+:\d+: /, "")}`);
  }
}
