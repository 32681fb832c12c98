// A build's steps as they are told: numbered within their stage, timed, and their failures with the lines of the Dockerfile.
import { PullError } from "../images/images.ts";
import { type BuildEvent, DockerfileError, StepError } from "./build.ts";
import type { Dockerfile, Instruction, Stage } from "./dockerfile/instructions.ts";

const shownLinesMax = 12;

export interface Step {
  readonly id: number;
  readonly name: string;
  output(stream: "stdout" | "stderr", data: Buffer): void;
  progress(what: string, doneBytes: number, totalBytes: number): void;
  /** Its result was known. */
  cached(): void;
}

export class Steps {
  readonly #onEvent: (event: BuildEvent) => void;
  readonly #nowMs: () => number;
  readonly #dockerfile: Dockerfile;
  readonly #warned = new Set<string>();
  #next = 1;
  total = 0;
  cached = 0;

  constructor(
    dockerfile: Dockerfile,
    options: { readonly onEvent: (event: BuildEvent) => void; readonly nowMs: () => number },
  ) {
    this.#dockerfile = dockerfile;
    this.#onEvent = options.onEvent;
    this.#nowMs = options.nowMs;
  }

  /** Tells a step's beginning and end; a failure is told with its place. */
  async run<Result>(name: string, instruction: Instruction, work: (step: Step) => Promise<Result>): Promise<Result> {
    const id = this.#next++;
    const startMs = this.#nowMs();
    let isCached = false;
    this.total++;
    this.#onEvent({ type: "step", id, name, state: "started" });
    const step: Step = {
      id,
      name,
      output: (stream, data) => this.#onEvent({ type: "output", id, stream, data }),
      progress: (what, doneBytes, totalBytes) => this.#onEvent({ type: "progress", id, what, doneBytes, totalBytes }),
      cached: () => {
        isCached = true;
        this.cached++;
        this.#onEvent({ type: "step", id, name, state: "cached" });
      },
    };
    try {
      const result = await work(step);
      if (!isCached) this.#onEvent({ type: "step", id, name, state: "done", ms: this.#nowMs() - startMs });
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#onEvent({ type: "step", id, name, state: "failed", ms: this.#nowMs() - startMs, error: message });
      throw this.#place(error, instruction);
    }
  }

  /** Told once. */
  warn(rule: string, text: string, { position: { line } }: Pick<Instruction, "position">): void {
    const { skip } = this.#dockerfile.check;
    const key = `${rule} ${text} ${line}`;
    if (this.#warned.has(key) || skip.includes("all") || skip.includes(rule.toLowerCase())) return;
    this.#warned.add(key);
    this.#onEvent({ type: "warning", text: `${rule}: ${text}`, line });
  }

  // Failures that know no place get it, but for a build that was given up.
  #place(error: unknown, instruction: Instruction): unknown {
    if (error instanceof DockerfileError || !(error instanceof Error) || error.name === "AbortError") return error;
    const message = `${error.message}\n${showLines(this.#dockerfile, instruction)}`;
    if (error instanceof PullError) return new PullError(error.failure, message, { cause: error });
    return new StepError(message, {
      cause: error instanceof StepError ? error.cause : error,
      position: instruction.position,
      exitCode: error instanceof StepError ? error.exitCode : undefined,
    });
  }
}

/** "[name 2/5]": the instructions that work on files are counted. */
export function stepName(stage: Stage, instruction: Instruction, text: string): string {
  const counted = [stage.from, ...stage.instructions].filter(({ kind }) =>
    ["FROM", "RUN", "COPY", "ADD", "WORKDIR"].includes(kind),
  );
  const label = stage.from.name ?? `stage-${stage.index}`;
  return `[${label} ${counted.indexOf(instruction) + 1}/${counted.length}] ${text}`;
}

/** The instruction's lines and one around them, numbered as in the file. */
function showLines({ file, lines }: Dockerfile, { position, endLine }: Instruction): string {
  const first = Math.max(1, position.line - 1);
  const last = Math.min(lines.length, Math.max(endLine, position.line) + 1, first + shownLinesMax);
  const shown = lines.slice(first - 1, last).map((line, i) => {
    const number = first + i;
    const isOwn = number >= position.line && number <= Math.max(endLine, position.line);
    return `${String(number).padStart(4)} | ${isOwn ? ">>>" : "   "} ${line}`;
  });
  return [`${file}:${position.line}`, "-".repeat(20), ...shown, "-".repeat(20)].join("\n");
}
