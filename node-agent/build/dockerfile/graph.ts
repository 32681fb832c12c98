// Which stages a target needs, and which stage a name means. Pure.
import { DockerfileError } from "../build.ts";
import type { Dockerfile, Instruction, Stage } from "./instructions.ts";

/** The stage to build: by name, by number, or the last. Throws DockerfileError. */
export function findTarget({ stages, file }: Dockerfile, target: string | undefined): Stage {
  const last = stages.at(-1);
  const found = target === undefined || target === "" ? last : findStage(stages, target.toLowerCase());
  if (found !== undefined) return found;
  const names = stages.flatMap(({ from }) => from.name ?? []);
  const known = names.length === 0 ? "no stage has a name (FROM … AS NAME)" : `there are ${names.join(", ")}`;
  throw new DockerfileError(`there is no stage ${JSON.stringify(target)}: ${known}`, file, {
    line: 1,
    column: 1,
  });
}

/** The earlier stage that a FROM or --from means; undefined: an image. */
export function findStage(stages: readonly Stage[], name: string): Stage | undefined {
  const named = stages.findLast(({ from }) => from.name === name.toLowerCase());
  if (named !== undefined) return named;
  return /^\d+$/.test(name) ? stages[Number(name)] : undefined;
}

/** What an instruction takes from elsewhere, as written. */
export function fromsOf(instruction: Instruction): readonly string[] {
  if (instruction.kind === "COPY" || instruction.kind === "ADD")
    return instruction.from === undefined ? [] : [instruction.from];
  if (instruction.kind !== "RUN") return [];
  return instruction.mounts.flatMap((mount) =>
    (mount.type === "bind" || mount.type === "cache") && mount.from !== undefined ? [mount.from] : [],
  );
}

/** Numbers of the stages that are built for a target, in order; `resolve` replaces the variables of a name. */
export function neededStages(
  dockerfile: Dockerfile,
  target: Stage,
  resolve: (name: string, stage: Stage) => string,
): readonly number[] {
  const needed = new Set<number>();
  const need = (stage: Stage) => {
    if (needed.has(stage.index)) return;
    needed.add(stage.index);
    const before = dockerfile.stages.slice(0, stage.index);
    const base = findStageByName(before, resolve(stage.from.image, stage));
    const others = stage.instructions.flatMap(fromsOf).map((name) => findStage(before, name));
    for (const other of [base, ...others]) if (other !== undefined) need(other);
  };
  need(target);
  return [...needed].sort((a, b) => a - b);
}

/** FROM means a stage by its name only: a number is an image's name there. */
export function findStageByName(stages: readonly Stage[], name: string): Stage | undefined {
  return stages.findLast(({ from }) => from.name === name.toLowerCase());
}
