// Clients that attach before a container starts: they share one connection to its process, made so that none misses its first words.
import { PassThrough, Writable } from "node:stream";
import type { ProcessStreams } from "../../runtime/runtime.ts";

export class Attachments {
  readonly #waiting = new Map<string, ((streams: ProcessStreams | undefined) => void)[]>();

  /** Resolves when the container starts; with undefined when it is removed before. */
  wait(containerId: string, signal: AbortSignal): Promise<ProcessStreams | undefined> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(containerId) ?? [];
      this.#waiting.set(containerId, waiting);
      const leave = () => {
        const at = waiting.indexOf(resolve);
        if (at >= 0) waiting.splice(at, 1);
        resolve(undefined);
      };
      waiting.push(resolve);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  areWaiting(containerId: string): boolean {
    return (this.#waiting.get(containerId)?.length ?? 0) > 0;
  }

  /** Lets those who wait have the process. */
  give(containerId: string, streams: ProcessStreams | undefined): void {
    const waiting = this.#waiting.get(containerId) ?? [];
    this.#waiting.delete(containerId);
    if (streams === undefined) for (const resolve of waiting) resolve(undefined);
    else if (waiting.length === 0) streams.kill();
    else for (const [i, copy] of share(streams, waiting.length).entries()) waiting[i]?.(copy);
  }
}

/** The same process for several: each hears all of it, and all speak to it. */
export function share(streams: ProcessStreams, count: number): readonly ProcessStreams[] {
  if (count <= 1) return [streams];
  const split = (source: NodeJS.ReadableStream) => {
    const copies = Array.from({ length: count }, () => new PassThrough());
    source.on("data", (bytes: Buffer) => {
      for (const copy of copies) copy.write(bytes);
    });
    source.on("end", () => {
      for (const copy of copies) copy.end();
    });
    return copies;
  };
  const stdout = split(streams.stdout);
  const stderr = streams.stderr === undefined ? [] : split(streams.stderr);
  return stdout.map((copy, i) => ({
    ...streams,
    stdin: streams.stdin === undefined ? undefined : passOn(streams.stdin),
    stdout: copy,
    stderr: stderr[i],
  }));
}

function passOn(stdin: NodeJS.WritableStream): Writable {
  return new Writable({
    write: (bytes: Buffer, _encoding, done) => void stdin.write(bytes, () => done()),
    final: (done) => {
      stdin.end();
      done();
    },
  });
}
