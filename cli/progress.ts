// What goes on while a command waits: lines that change in place on a terminal, one for each thing that goes on; plain lines elsewhere.

export interface Progress {
  /** The present state; off a terminal a line is printed when `text` has changed. `detail` changes often: terminals alone show it. */
  update(text: string, detail?: string): void;
  /** Leaves a last line. */
  done(text: string): void;
  /** Leaves nothing. */
  clear(): void;
}

/** The part of a stream that progress is shown on. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** All that goes on at a time on one screen. */
export function progressOn(screen: Screen): () => Progress {
  return screen.isTTY === true ? liveProgress(screen) : () => plainProgress(screen);
}

export const startProgress: () => Progress = progressOn(process.stderr);

export const silentProgress: Progress = { update: () => {}, done: () => {}, clear: () => {} };

function plainProgress(screen: Screen): Progress {
  let last = "";
  const print = (text: string) => {
    if (text !== last) screen.write(`${text}\n`);
    last = text;
  };
  return { update: print, done: print, clear: () => {} };
}

function liveProgress(screen: Screen): () => Progress {
  const lines = new Map<Progress, string>();
  let shown = 0;
  // A line that wrapped would be two to the terminal and one to us.
  const fit = (text: string) => {
    const columnsMax = (screen.columns || 80) - 1;
    return text.length > columnsMax ? `${text.slice(0, columnsMax - 1)}…` : text;
  };
  const draw = (above: string) => {
    const up = shown === 0 ? "" : `\x1b[${shown}A\r\x1b[J`;
    screen.write(`${up}${above}${[...lines.values()].map((text) => `${fit(text)}\n`).join("")}`);
    shown = lines.size;
  };
  return () => {
    const progress: Progress = {
      update: (text, detail) => {
        const line = detail === undefined ? text : `${text}, ${detail}`;
        if (lines.get(progress) === line) return;
        lines.set(progress, line);
        draw("");
      },
      done: (text) => {
        lines.delete(progress);
        draw(`${text}\n`);
      },
      clear: () => {
        if (lines.delete(progress)) draw("");
      },
    };
    return progress;
  };
}
