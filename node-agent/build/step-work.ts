// What every step works with, and how its result becomes a layer that is known again.

import { createHash } from "node:crypto";
import type { ImageLibrary, Platform } from "../images/library.ts";
import type { Draft, Workshop } from "../images/workshop.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type BuildOptions, StepError } from "./build.ts";
import type { OpenContext } from "./context.ts";
import type { Dockerfile, Instruction, Stage } from "./dockerfile/instructions.ts";
import { cleanPath } from "./dockerfile/patterns.ts";
import type { CacheLocks } from "./run-mounts.ts";
import type { BuildNetwork } from "./run-step.ts";
import type { Expander, StageState } from "./stage-state.ts";
import type { Step, Steps } from "./steps.ts";
export interface StageParts {
  readonly images: ImageLibrary;
  readonly runtime: Runtime;
  readonly network: BuildNetwork | undefined;
  readonly workshop: Workshop;
  readonly locks: CacheLocks;
  readonly context: OpenContext;
  readonly dockerfile: Dockerfile;
  readonly options: BuildOptions;
  readonly steps: Steps;
  readonly signal: AbortSignal;
}

export interface StageHistory {
  readonly createdMs: number | undefined;
  readonly createdBy: string;
  readonly diffId?: string;
}

/** A stage at some point; at its end it is what others take from. */
export interface StageResult {
  readonly state: StageState;
  readonly diffIds: readonly string[];
  /** Digest of all that went into its files. */
  readonly key: string;
  /** The raw config of the image below. */
  readonly base: Readonly<Record<string, unknown>> | undefined;
  readonly history: readonly StageHistory[];
  /** When its last step that works on files was done; absent: it has none, and no date is given. */
  readonly createdMs: number | undefined;
  /** Whose programs its files are. */
  readonly platform: Platform;
}

/** What a step works on. */
export interface StepWork {
  readonly parts: StageParts;
  readonly builder: StagesInWork;
  readonly stage: Stage;
  readonly before: StageResult;
  readonly expander: Expander;
  readonly step: Step;
}

export const emptyTar = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/** What a step may ask of the build around it. */
export interface StagesInWork {
  readonly cacheKeys: Set<string>;
  /** The layers of an earlier stage or of an image, by the name that an instruction gives. */
  layersOf(name: string, stage: Stage, step: Step): Promise<readonly string[]>;
  /** Layers that nobody else has yet stay until the build ends. */
  hold(held: Disposable): void;
}

/**
 * A step's layer: the known one of its key, or a new one. `make` fills a draft, which is thrown away when it fails. `key` is of all
 * that goes into the step.
 */
export async function layerStep(
  work: StepWork,
  details: { readonly key: string; readonly createdBy: string; readonly state?: StageState },
  make: (draft: Draft) => Promise<{ readonly stubs: readonly string[] } | undefined>,
): Promise<StageResult> {
  const { parts, builder, before, step } = work;
  const { workshop, options } = parts;
  const { key, createdBy, state = before.state } = details;
  const finished = (diffId: string | undefined, createdMs: number): StageResult => {
    builder.cacheKeys.add(key);
    const line = { createdMs, createdBy, ...(diffId === undefined ? {} : { diffId }) };
    const diffIds = diffId === undefined ? before.diffIds : [...before.diffIds, diffId];
    return { ...before, state, key, diffIds, history: [...before.history, line], createdMs };
  };
  const known = options.noCache === true ? undefined : workshop.find(key);
  if (known !== undefined) {
    if (known.diffId !== undefined) builder.hold(workshop.hold([known.diffId]));
    workshop.remember({ [key]: known });
    step.cached();
    return finished(known.diffId, dateOf(options) ?? known.createdMs);
  }
  const draft = await workshop.begin();
  let stubs: readonly string[] = [];
  try {
    stubs = (await make(draft))?.stubs ?? [];
  } catch (error) {
    workshop.discard(draft);
    throw error;
  }
  const layer = await workshop.finish(draft, { timeMaxSeconds: epochOf(options), stubs });
  builder.hold(layer);
  const diffId = layer.diffId === emptyTar ? undefined : layer.diffId;
  const createdMs = dateOf(options) ?? workshop.nowMs();
  workshop.remember({ [key]: { createdMs, ...(diffId === undefined ? {} : { diffId }) } });
  return finished(diffId, createdMs);
}

/** Within the working directory unless it is absolute; a last slash stays. */
export function absolutePath(path: string, workingDir: string): string {
  const whole = path.startsWith("/") ? path : `${workingDir}/${path}`;
  const slash = /\/\.?$/.test(path) && cleanPath(whole) !== "" ? "/" : "";
  return `/${cleanPath(whole)}${path.startsWith("/") || path.includes("/") || slash !== "" ? slash : ""}`;
}

export function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Seconds, of the option or the build argument. */
export function epochOf(options: BuildOptions): number | undefined {
  if (options.sourceDateEpoch !== undefined) return options.sourceDateEpoch;
  const text = options.buildArgs?.["SOURCE_DATE_EPOCH"];
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}

/** In milliseconds, what everything is dated with; undefined: with the time that it was made. */
export function dateOf(options: BuildOptions): number | undefined {
  const epoch = epochOf(options);
  return epoch === undefined ? undefined : epoch * 1000;
}

/** A failed step in words, without its place yet. */
export function stepError(instruction: Instruction, message: string, exitCode?: number): StepError {
  return new StepError(message, { position: instruction.position, exitCode });
}
