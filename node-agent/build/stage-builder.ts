// Builds stages: the image below, then instruction after instruction, each on what the one before left.

import type { ImageConfig } from "../images/images.ts";
import type { Platform } from "../images/library.ts";
import { hostPlatform, platformName } from "../images/manifest.ts";
import { parseReference } from "../images/reference.ts";
import type { BuildOptions } from "./build.ts";
import { copyStep } from "./copy-step.ts";
import { findStage, findStageByName } from "./dockerfile/graph.ts";
import type { Dockerfile, Instruction, Stage } from "./dockerfile/instructions.ts";
import { parseTrigger } from "./dockerfile/parse.ts";
import { cleanPath } from "./dockerfile/patterns.ts";
import { readPlatform, samePlatform } from "./platforms.ts";
import { runInstruction } from "./run-instruction.ts";
import {
  type ArgSources,
  applyToConfig,
  declare,
  defaultPath,
  Expander,
  emptyConfig,
  type StageState,
} from "./stage-state.ts";
import {
  absolutePath,
  dateOf,
  digest,
  epochOf,
  layerStep,
  type StageParts,
  type StageResult,
  type StagesInWork,
  type StepWork,
} from "./step-work.ts";
import { type Step, stepName } from "./steps.ts";

export class StageBuilder implements Disposable, StagesInWork {
  readonly #parts: StageParts;
  readonly #stages = new Map<number, Promise<StageResult>>();
  readonly #images = new Map<
    string,
    Promise<{ readonly id: string; readonly diffIds: readonly string[]; readonly config: ImageConfig }>
  >();
  readonly #held: Disposable[] = [];
  readonly cacheKeys = new Set<string>();

  constructor(parts: StageParts) {
    this.#parts = parts;
  }

  /** Once per stage, whoever asks. */
  build(index: number): Promise<StageResult> {
    const known = this.#stages.get(index);
    if (known !== undefined) return known;
    const stage = this.#parts.dockerfile.stages[index];
    if (stage === undefined) throw new Error(`bug: no stage ${index}`);
    const building = this.#build(stage);
    building.catch(() => {});
    this.#stages.set(index, building);
    return building;
  }

  /** The layers of an earlier stage or of an image, by the name that an instruction gives. */
  async layersOf(name: string, stage: Stage, step: Step): Promise<readonly string[]> {
    const other = findStage(this.#parts.dockerfile.stages.slice(0, stage.index), name);
    if (other !== undefined) return (await this.build(other.index)).diffIds;
    return (await this.#image(name, step, this.#parts.options.platform ?? hostPlatform())).diffIds;
  }

  /** Layers that nobody else has yet stay until the build ends. */
  hold(held: Disposable): void {
    this.#held.push(held);
  }

  [Symbol.dispose](): void {
    for (const held of this.#held) held[Symbol.dispose]();
  }

  async #build(stage: Stage): Promise<StageResult> {
    const { dockerfile, options, steps, signal } = this.#parts;
    const image = globalArgs(dockerfile, options).word(stage.from.image, stage.from);
    let result = await steps.run(stepName(stage, stage.from, `FROM ${image}`), stage.from, (step) =>
      this.#from(stage, step),
    );
    const triggers = (result.state.config.onBuild ?? []).map((text) => parseTrigger(text, stage.from, dockerfile.file));
    result = { ...result, state: { ...result.state, config: withoutTriggers(result.state.config) } };
    const instructions = [...triggers, ...stage.instructions];
    for (const instruction of instructions) {
      signal.throwIfAborted();
      result = await this.#apply({ ...stage, instructions }, instruction, result);
    }
    return result;
  }

  async #from(stage: Stage, step: Step): Promise<StageResult> {
    const { dockerfile, options, workshop } = this.#parts;
    const global = globalArgs(dockerfile, options);
    const name = global.word(stage.from.image, stage.from);
    const named = stage.from.platform === undefined ? "" : global.word(stage.from.platform, stage.from);
    const platform = named === "" ? (options.platform ?? hostPlatform()) : readPlatform(named);
    if (platform === undefined)
      throw global.refuse(
        `--platform takes such as linux/amd64 or linux/arm64, got ${JSON.stringify(named)}`,
        stage.from,
      );
    const state: StageState = { config: withPath(emptyConfig), args: new Map(), hasCmd: false, author: undefined };
    const start = { history: [], createdMs: dateOf(options), diffIds: [], base: undefined, platform };
    if (name === "scratch") return { ...start, state, key: digest(["scratch"]) };
    if (name === "") throw global.refuse(`the image's name is empty: ${stage.from.image} has no value`, stage.from);
    const other = findStageByName(dockerfile.stages.slice(0, stage.index), name);
    if (other !== undefined) {
      const below = await this.build(other.index);
      return { ...below, state: { ...below.state, hasCmd: false } };
    }
    const image = await this.#image(name, step, platform);
    return {
      ...start,
      state: { ...state, config: withPath(image.config) },
      diffIds: image.diffIds,
      base: await workshop.config(image.id),
      // The files alone: a label of the image below changes no file above it.
      key: digest(["layers", ...image.diffIds]),
    };
  }

  #image(name: string, step: Step, platform: Platform) {
    const key = `${platformName(platform)} ${name}`;
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const found = this.#findImage(name, step, platform);
    found.catch(() => {});
    this.#images.set(key, found);
    return found;
  }

  async #findImage(name: string, step: Step, platform: Platform) {
    const { images, options, workshop, signal } = this.#parts;
    const found = options.pull === true ? undefined : await images.find(name);
    const here =
      found !== undefined && samePlatform((await images.inspect(found.id)).platform, platform) ? found : undefined;
    const image =
      here ??
      (await images.pull(name, {
        credentials: options.credentials?.(parseReference(name).registry) ?? [],
        onProgress: (progress) => {
          if (progress.type === "layer")
            step.progress(`${progress.digest} ${progress.state}`, progress.doneBytes, progress.totalBytes);
        },
        signal,
        ...(samePlatform(platform, hostPlatform()) ? {} : { platform }),
      }));
    const diffIds = workshop.record(image.id)?.layers;
    if (diffIds === undefined) throw new Error(`image ${name} went away while it was used: build again`);
    this.hold(workshop.hold(diffIds));
    return { id: image.id, diffIds, config: image.config };
  }

  async #apply(stage: Stage, instruction: Instruction, before: StageResult): Promise<StageResult> {
    const { dockerfile, options, steps } = this.#parts;
    const expander = new Expander(before.state, {
      ...{ ...dockerfile, instruction },
      onUndefined: (name) => steps.warn("UndefinedVar", `$${name} has no value here`, instruction),
    });
    const sources = argSources(dockerfile, options);
    const state = applyToConfig(before.state, instruction, { expander, sources });
    if (state !== undefined) {
      if (instruction.kind === "ARG") return { ...before, state };
      const line = { createdMs: before.createdMs, createdBy: instruction.text };
      return { ...before, state, history: [...before.history, line] };
    }
    return await this.#parts.steps.run(stepName(stage, instruction, instruction.text), instruction, (step) =>
      this.#work(instruction, { parts: this.#parts, builder: this, stage, before, expander, step }),
    );
  }

  async #work(instruction: Instruction, work: StepWork): Promise<StageResult> {
    switch (instruction.kind) {
      case "RUN":
        return await runInstruction(instruction, work);
      case "COPY":
      case "ADD":
        return await copyStep(instruction, work);
      case "WORKDIR":
        return await workdirStep(instruction, work);
      default:
        throw new Error(`bug: ${instruction.kind} is no step`);
    }
  }
}

async function workdirStep(
  instruction: Extract<Instruction, { kind: "WORKDIR" }>,
  work: StepWork,
): Promise<StageResult> {
  const { parts, before, expander } = work;
  const path = absolutePath(expander.word(instruction.path), before.state.config.workingDir);
  const state = { ...before.state, config: { ...before.state.config, workingDir: path } };
  const { user } = before.state.config;
  const key = digest([before.key, "WORKDIR", path, user, String(epochOf(parts.options) ?? "")]);
  return await layerStep(work, { key, createdBy: `WORKDIR ${path}`, state }, async (draft) => {
    const { uid, gid } = user === "" ? { uid: 0, gid: 0 } : await parts.workshop.resolveUser(before.diffIds, user);
    const make = ["make", "", cleanPath(path), `${uid}:${gid}`, ""];
    await parts.workshop.run(["copy", `dir:${parts.context.path}`, parts.workshop.root(before.diffIds, draft)], make);
  });
}

/** Arguments before the first FROM, with those that every build has. */
export function globalArgs(dockerfile: Dockerfile, options: BuildOptions) {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const platform = {
    BUILDPLATFORM: `linux/${architecture}`,
    BUILDOS: "linux",
    BUILDARCH: architecture,
    BUILDVARIANT: "",
  };
  const wanted = options.platform ?? hostPlatform();
  const { variant = "" } = wanted;
  const target = {
    TARGETPLATFORM: platformName(wanted),
    TARGETOS: wanted.os,
    TARGETARCH: wanted.architecture,
    TARGETVARIANT: variant,
  };
  let args: ReadonlyMap<string, string> = new Map(
    Object.entries({ ...platform, ...target, TARGETSTAGE: options.target ?? "default" }),
  );
  const expanderOf = (instruction: Instruction) =>
    new Expander({ config: emptyConfig, args, hasCmd: false, author: undefined }, { ...dockerfile, instruction });
  for (const instruction of dockerfile.args) {
    const expander = expanderOf(instruction);
    args = declare(args, instruction.args, {
      word: (text) => expander.word(text),
      sources: { given: options.buildArgs ?? {}, global: args },
    });
  }
  return {
    args,
    word: (text: string, instruction: Instruction) => expanderOf(instruction).word(text),
    refuse: (message: string, instruction: Instruction) => expanderOf(instruction).refusal(message),
  };
}

function argSources(dockerfile: Dockerfile, options: BuildOptions): ArgSources {
  return { given: options.buildArgs ?? {}, global: globalArgs(dockerfile, options).args };
}

// As Docker has it, so that ENV PATH=/mine:$PATH keeps the usual places.
function withPath(config: ImageConfig): ImageConfig {
  if (config.env.some((entry) => entry.startsWith("PATH="))) return config;
  return { ...config, env: [...config.env, defaultPath] };
}

function withoutTriggers(config: ImageConfig): ImageConfig {
  return config.onBuild === undefined ? config : { ...config, onBuild: [] };
}
