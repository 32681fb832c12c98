// A build as it goes on: a line a step that changes in place on a terminal, plain numbered lines elsewhere.
import type { BuildEvent } from "../../node-agent/build/build.ts";
import { type Progress, startProgress } from "../progress.ts";
import { dim, green, red, yellow } from "../terminal.ts";

export interface BuildPrinter {
  show(event: BuildEvent): void;
  /** What the step that failed said lately. */
  failed(): string;
}

const keptLinesMax = 40;

export function buildPrinter(mode: "plain" | "tty" | "quiet", nowMs: () => number): BuildPrinter {
  if (mode === "tty") return terminalPrinter(nowMs);
  return mode === "plain" ? plainPrinter((text) => process.stderr.write(`${text}\n`), nowMs) : silentPrinter;
}

const silentPrinter: BuildPrinter = { show: () => {}, failed: () => "" };

/** Every line says of which step it is. */
export function plainPrinter(print: (text: string) => void, nowMs: () => number): BuildPrinter {
  const started = new Map<number, number>();
  const open = new Map<number, string>();
  return {
    failed: () => "",
    show: (event) => {
      switch (event.type) {
        case "step":
          if (event.state === "started") {
            started.set(event.id, nowMs());
            print(`#${event.id} ${event.name}`);
          } else if (event.state === "cached") print(`#${event.id} CACHED`);
          else {
            const rest = open.get(event.id);
            if (rest !== undefined && rest !== "") print(`#${event.id} ${rest}`);
            if (event.state === "done") print(`#${event.id} DONE ${seconds(event.ms)}`);
            if (event.state === "failed") print(`#${event.id} ERROR: ${event.error}`);
          }
          return;
        case "output": {
          const lines = `${open.get(event.id) ?? ""}${event.data.toString()}`.split("\n");
          open.set(event.id, lines.pop() ?? "");
          for (const line of lines)
            print(`#${event.id} ${((nowMs() - (started.get(event.id) ?? 0)) / 1000).toFixed(3)} ${line}`);
          return;
        }
        case "progress":
          if (event.doneBytes === event.totalBytes) print(`#${event.id} ${event.what}`);
          return;
        case "warning":
          print(`WARNING: ${warningText(event)}`);
          return;
        case "image":
          return;
      }
    },
  };
}

function terminalPrinter(nowMs: () => number): BuildPrinter {
  const steps = new Map<number, { readonly progress: Progress; readonly name: string; readonly startMs: number }>();
  const kept = new Map<number, string[]>();
  let failedId: number | undefined;
  return {
    failed: () => (failedId === undefined ? "" : (kept.get(failedId) ?? []).join("\n")),
    show: (event) => {
      if (event.type === "warning") process.stderr.write(`${yellow("Warning:")} ${warningText(event)}\n`);
      if (event.type === "output") {
        const lines = event.data.toString().trimEnd().split("\n");
        kept.set(event.id, [...(kept.get(event.id) ?? []), ...lines].slice(-keptLinesMax));
      }
      // Those that fail behind it were given up.
      if (event.type === "step" && event.state === "failed") failedId ??= event.id;
      if (event.type === "step" && event.state === "started") {
        const progress = startProgress();
        progress.update(event.name);
        steps.set(event.id, { progress, name: event.name, startMs: nowMs() });
      }
      const step = event.type === "image" || event.type === "warning" ? undefined : steps.get(event.id);
      if (step === undefined) return;
      const { progress, name, startMs } = step;
      if (event.type === "output") progress.update(name, dim(kept.get(event.id)?.at(-1) ?? ""));
      if (event.type === "progress") progress.update(name, dim(event.what));
      if (event.type !== "step") return;
      if (event.state === "cached") progress.done(`${name} ${dim("CACHED")}`);
      if (event.state === "done") progress.done(`${name} ${green(seconds(nowMs() - startMs))}`);
      if (event.state === "failed") progress.done(`${name} ${red("ERROR")}`);
    },
  };
}

function warningText({ text, line }: Extract<BuildEvent, { type: "warning" }>): string {
  return line === undefined ? text : `${text} (line ${line})`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)}s`;
}
