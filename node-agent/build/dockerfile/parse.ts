// A Dockerfile from its text: stages of typed instructions. Pure.
import { DockerfileError } from "../build.ts";
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";
import { splitDockerfile } from "./lines.ts";
import { readInstruction } from "./read-instruction.ts";

/** `file` is what refusals call it. Throws DockerfileError. */
export function parseDockerfile(text: string, file = "Dockerfile"): Dockerfile {
  const { instructions, escapeMark, check } = parseInstructions(text, file);
  const args: Extract<Instruction, { kind: "ARG" }>[] = [];
  const stages: { index: number; from: Extract<Instruction, { kind: "FROM" }>; instructions: Instruction[] }[] = [];
  for (const instruction of instructions) {
    const stage = stages.at(-1);
    if (instruction.kind === "FROM") stages.push({ index: stages.length, from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === "ARG") args.push(instruction);
    else
      throw new DockerfileError(
        `${instruction.kind}: FROM is expected first, with the image to begin with`,
        file,
        instruction.position,
      );
  }
  if (stages.length === 0)
    throw new DockerfileError("has no FROM: an image to begin with, or scratch, is expected", file, {
      line: 1,
      column: 1,
    });
  refuseSameNames(stages, file);
  return { file, escapeMark, check, args, stages, lines: text.split("\n") };
}

/** What ONBUILD left in an image, to be done behind FROM. */
export function parseTrigger(trigger: string, from: Instruction, file: string): Instruction {
  const [instruction] = parseInstructions(
    trigger,
    `${file}: ONBUILD of the image in line ${from.position.line}`,
  ).instructions;
  if (instruction === undefined || instruction.kind === "FROM" || instruction.kind === "ONBUILD")
    throw new DockerfileError(`the image's ONBUILD ${JSON.stringify(trigger)} is no instruction`, file, from.position);
  return { ...instruction, position: from.position, endLine: from.endLine };
}

function parseInstructions(
  text: string,
  file: string,
): Pick<Dockerfile, "escapeMark" | "check"> & { readonly instructions: readonly Instruction[] } {
  const { instructions, escapeMark, check } = splitDockerfile(text, file);
  return {
    escapeMark,
    check,
    instructions: instructions.map((raw) => ({
      ...readInstruction({ raw, file, escapeMark }),
      position: raw.position,
      endLine: raw.endLine,
      keyword: raw.written,
      text: `${raw.keyword} ${raw.text.replace(/\s+/g, " ")}`.trim(),
    })),
  };
}

function refuseSameNames(stages: readonly Stage[], file: string): void {
  const seen = new Map<string, number>();
  for (const { from } of stages) {
    if (from.name === undefined) continue;
    const before = seen.get(from.name);
    if (before !== undefined)
      throw new DockerfileError(`FROM: a stage ${from.name} is there already, in line ${before}`, file, from.position);
    seen.set(from.name, from.position.line);
  }
}
