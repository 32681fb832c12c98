// The builder on Linux. Stages run at the same time as far as they do not wait for each other; each step's layer is known by the digest of
// all that goes into it.
import type { Clock } from "../../lib/clock.ts";
import type { Image } from "../images/images.ts";
import type { ImageLibrary } from "../images/library.ts";
import type { Workshop } from "../images/workshop.ts";
import type { Runtime } from "../runtime/runtime.ts";
import {
  type BuildContext,
  type BuildEvent,
  type Builder,
  type BuildOptions,
  type BuildResult,
  DockerfileError,
  type PruneOptions,
} from "./build.ts";
import { exportCache, importCache } from "./cache-image.ts";
import { type OpenContext, openContext } from "./context.ts";
import { findTarget, neededStages } from "./dockerfile/graph.ts";
import type { Dockerfile } from "./dockerfile/instructions.ts";
import { lintDockerfile } from "./dockerfile/lint.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { finishImage } from "./finish.ts";
import { CacheLocks } from "./run-mounts.ts";
import type { BuildNetwork } from "./run-step.ts";
import { globalArgs, StageBuilder } from "./stage-builder.ts";
import { silentArgs } from "./stage-state.ts";
import { Steps } from "./steps.ts";

export interface BuilderParts {
  readonly images: ImageLibrary;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly network?: BuildNetwork;
}

/** What an earlier agent left is cleared before, by `clearLeftBuilds`. */
export async function openBuilder(parts: BuilderParts): Promise<Builder> {
  return new LinuxBuilder(parts, parts.images.workshop());
}

class LinuxBuilder implements Builder {
  readonly #parts: BuilderParts;
  readonly #workshop: Workshop;
  readonly #locks = new CacheLocks();

  constructor(parts: BuilderParts, workshop: Workshop) {
    this.#parts = parts;
    this.#workshop = workshop;
  }

  async build(
    context: BuildContext,
    options: BuildOptions,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<BuildResult> {
    signal.throwIfAborted();
    await using opened = await openContext(this.#workshop, context, signal);
    const dockerfile = await readDockerfile(opened, options);
    const steps = new Steps(dockerfile, { onEvent, nowMs: () => this.#parts.clock.monotonicMs() });
    tellWarnings(dockerfile, options, onEvent);
    // The first failure ends the others: their work would be for nothing.
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const { images, runtime, network } = this.#parts;
    const stages = new StageBuilder({
      ...{
        images,
        runtime,
        network,
        workshop: this.#workshop,
        locks: this.#locks,
        context: opened,
        dockerfile,
        options,
        steps,
      },
      signal: either,
    });
    const target = findTarget(dockerfile, options.target);
    const resolve = globalArgs(dockerfile, options);
    try {
      if (options.cacheFrom !== undefined) await importCache(this.#parts.images, this.#workshop, options, either);
      const needed = neededStages(dockerfile, target, (name, stage) => resolve.word(name, stage.from));
      const works = needed.map((index) => stages.build(index));
      const results = await Promise.allSettled(
        works.map((work) =>
          work.catch((error) => {
            if (!failed.signal.aborted) failed.abort(error);
            throw error;
          }),
        ),
      );
      signal.throwIfAborted();
      if (results.some(({ status }) => status === "rejected")) throw failed.signal.reason;
      const last = await stages.build(target.index);
      const image: Image = await finishImage(this.#workshop, last, options);
      if (options.cacheTo !== undefined) await exportCache(this.#workshop, stages.cacheKeys, options.cacheTo);
      onEvent({ type: "image", image });
      return { image, steps: steps.total, cached: steps.cached };
    } finally {
      stages[Symbol.dispose]();
    }
  }

  async prune(options: PruneOptions): Promise<{ readonly freedBytes: number }> {
    return await this.#workshop.prune(options);
  }

  async usage(): Promise<{ readonly entries: number; readonly bytes: number }> {
    return this.#workshop.usage();
  }
}

function tellWarnings(dockerfile: Dockerfile, options: BuildOptions, onEvent: (event: BuildEvent) => void): void {
  const found = lintDockerfile(dockerfile);
  for (const { rule, text, line } of found) onEvent({ type: "warning", text: `${rule}: ${text}`, line });
  const [first] = found;
  if (first !== undefined && dockerfile.check.error)
    throw new DockerfileError(`${first.rule}: ${first.text}`, dockerfile.file, { line: first.line, column: 1 });
  const unused = Object.keys(options.buildArgs ?? {}).filter((name) => !isDeclared(dockerfile, name));
  if (unused.length > 0) onEvent({ type: "warning", text: `no ARG takes the build argument ${unused.join(", ")}` });
}

// Those that mean something without an ARG are taken for declared.
function isDeclared({ args, stages }: Dockerfile, name: string): boolean {
  const declared = [...args, ...stages.flatMap(({ instructions }) => instructions)];
  return (
    silentArgs.includes(name) ||
    /^(SOURCE_DATE_EPOCH$|BUILDKIT_)/.test(name) ||
    declared.some((each) => each.kind === "ARG" && each.args.some((arg) => arg.name === name))
  );
}

async function readDockerfile(context: OpenContext, options: BuildOptions): Promise<Dockerfile> {
  const path = options.dockerfile ?? "Dockerfile";
  // An ignore file beside the Dockerfile, named after it, comes before the context's own.
  const [own, beside, ignore] = await context.readTexts([path, `${path}.dockerignore`, ".dockerignore"]);
  const text = options.dockerfileText ?? own;
  if (text === undefined)
    throw new DockerfileError(`there is no ${path} in the context: name it with --file`, path, { line: 1, column: 1 });
  context.ignore(beside ?? ignore ?? "");
  return parseDockerfile(text, options.dockerfileShown ?? path);
}
