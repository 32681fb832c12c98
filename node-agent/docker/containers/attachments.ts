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
  const stdout = split(streams.stdout, count);
  const stderr = streams.stderr === undefined ? [] : split(streams.stderr, count);
  return stdout.map((copy, i) => ({
    ...streams,
    stdin: streams.stdin === undefined ? undefined : passOn(streams.stdin),
    stdout: copy,
    stderr: stderr[i],
  }));
}

// As fast as the slowest of those who still listen reads: what waits for it is bounded.
function split(source: NodeJS.ReadableStream, count: number): readonly PassThrough[] {
  const copies = Array.from({ length: count }, () => new PassThrough());
  const full = new Set<PassThrough>();
  const goOn = (copy: PassThrough) => {
    if (full.delete(copy) && full.size === 0) source.resume();
  };
  for (const copy of copies) copy.on("drain", () => goOn(copy)).on("close", () => goOn(copy));
  source.on("data", (bytes: Buffer) => {
    for (const copy of copies) if (!copy.destroyed && !copy.write(bytes)) full.add(copy);
    if (full.size > 0) source.pause();
  });
  // One that is cut off does not come to its end.
  for (const event of ["end", "close", "error"])
    source.on(event, () => {
      for (const copy of copies) copy.end();
    });
  return copies;
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
