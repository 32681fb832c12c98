// Joins a process in a container with the user's own terminal, or with the command's pipes.
import { pipeline } from "node:stream/promises";
import type { RemoteStreams } from "./remote-streams.ts";

export interface Joining {
  readonly stdin: boolean;
  /** Keys go over as they are pressed, and the container's terminal is as large as the user's. */
  readonly tty: boolean;
}

/** Resolves with the process's exit code; the terminal is as it was before, also after a failure. */
export async function joinTerminal(remote: RemoteStreams, { stdin, tty }: Joining): Promise<number> {
  const resize = () => remote.resize({ columns: process.stdout.columns, rows: process.stdout.rows });
  if (tty) {
    process.stdin.setRawMode(true);
    resize();
    process.stdout.on("resize", resize);
  }
  // A process may end without reading all that is typed.
  remote.stdin.on("error", () => {});
  if (stdin) process.stdin.pipe(remote.stdin);
  try {
    await Promise.all([
      pipeline(remote.stdout, process.stdout, { end: false }),
      pipeline(remote.stderr, process.stderr, { end: false }),
    ]);
    return await remote.exit;
  } finally {
    process.stdin.unpipe(remote.stdin);
    process.stdin.pause();
    if (tty) process.stdin.setRawMode(false);
    process.stdout.off("resize", resize);
    remote.close();
  }
}
