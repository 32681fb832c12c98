// What a pull tells while it goes on, in the lines that docker's clients draw their bars from. Pure.
import type { PullProgress } from "../../images/images.ts";
import type { PushProgress } from "../../images/library.ts";

export interface StatusLine {
  readonly status: string;
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly progress?: string;
}

/** Lines for one report; what was told of a layer before is not told again. */
export function openPullLines(): (progress: PullProgress) => readonly StatusLine[] {
  const told = new Map<string, string>();
  return (progress) => {
    if (progress.type === "resolved") return [];
    const id = progress.digest.replace(/^sha256:/, "").slice(0, 12);
    const before = told.get(id);
    told.set(id, progress.state);
    const begin: readonly StatusLine[] =
      before === undefined && progress.state !== "exists"
        ? [{ status: "Pulling fs layer", progressDetail: {}, id }]
        : [];
    switch (progress.state) {
      case "exists":
        return before === "exists" ? [] : [{ status: "Already exists", progressDetail: {}, id }];
      case "downloading": {
        const { doneBytes: current, totalBytes: total } = progress;
        return [
          ...begin,
          { status: "Downloading", progressDetail: { current, total }, progress: bar(current, total), id },
        ];
      }
      case "unpacked":
        if (before === "unpacked") return [];
        return [
          ...begin,
          { status: "Download complete", progressDetail: {}, id },
          { status: "Pull complete", progressDetail: {}, id },
        ];
    }
  };
}

/** The same of a layer that is pushed. */
export function pushLine(id: string, progress: PushProgress): StatusLine {
  switch (progress.state) {
    case "preparing":
      return { status: "Preparing", progressDetail: {}, id };
    case "exists":
      return { status: "Layer already exists", progressDetail: {}, id };
    case "mounted":
      return { status: `Mounted from ${progress.from ?? "another repository"}`, progressDetail: {}, id };
    case "uploading": {
      const { doneBytes: current, totalBytes: total } = progress;
      return { status: "Pushing", progressDetail: { current, total }, progress: bar(current, total), id };
    }
    case "pushed":
      return { status: "Pushed", progressDetail: {}, id };
  }
}

function bar(current: number, total: number): string {
  const width = 50;
  const filled = total > 0 ? Math.min(width, Math.floor((current / total) * width)) : 0;
  const drawn = `${"=".repeat(filled)}>`.slice(0, width).padEnd(width);
  return `[${drawn}] ${humanBytes(current)}/${humanBytes(total)}`;
}

/** Decimal, four digits at most, as docker's clients write sizes. */
function humanBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}
