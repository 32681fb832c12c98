// Both ends of node sessions in one process, for tests and the simulator: on a clock of choice, over a network as bad as they like.
import type { Clock } from "../../lib/clock.ts";
import type { AgentMessage, Frame, ServerMessage } from "../../proto/generated/node_pb.ts";
import type { AgentLink, FramePipe, Link, LinkEvents, SessionHost, SessionTransport } from "../../proto/transport.ts";

/** What the network does with one message; the order of those that arrive is kept unless `overtakes`. */
export interface Fate {
  /** 0: lost; 2: doubled. */
  readonly copies: number;
  readonly delayMs: number;
  readonly overtakes?: boolean;
}

export interface MemoryNetwork {
  /** Asked once per message. */
  fate(direction: "up" | "down"): Fate;
  /** The server that a dial reaches; undefined: none, as when it is down or cut off. */
  host(): SessionHost | undefined;
}

/** Messages that may lie on the way before a link counts as congested. */
const congestedAbove = 64;
const framesMax = 16;

export function memoryTransport(node: string, network: MemoryNetwork, clock: Clock): SessionTransport {
  return {
    connect: (agentEvents) => {
      const host = network.host();
      const up = openWire<AgentMessage>(clock, () => network.fate("up"));
      const down = openWire<ServerMessage>(clock, () => network.fate("down"));
      down.events = agentEvents;
      if (host === undefined) clock.after(1, down.refuse);
      else up.events = host.acceptSession(node, linkOf(down, up));
      up.drained = () => agentEvents.onDrain();
      down.drained = () => up.events?.onDrain();
      return {
        send: up.send,
        get congested() {
          return up.congested;
        },
        close: linkOf(up, down).close,
        openStream: () => {
          const [agentPipe, serverPipe] = memoryPipes();
          if (host === undefined || up.closed) agentPipe.abort("no connection");
          else clock.after(0, () => host.acceptStream(node, serverPipe));
          return agentPipe;
        },
      } satisfies AgentLink;
    },
  };
}

/** One direction: messages on their way to `events`. */
interface Wire<T> {
  events: LinkEvents<T> | undefined;
  drained: () => void;
  readonly closed: boolean;
  readonly congested: boolean;
  send(message: T): void;
  /** After what is on its way; nothing more is delivered then. */
  end(reason: string): void;
  /** The same as a message, which can be lost: then the other side finds out by silence. */
  hangUp(reason: string): void;
  /** Nobody listens on the other side: known at once, whatever the network does. */
  refuse(): void;
  /** Delivers nothing any more. */
  stop(): void;
}

function linkOf<Out, In>(out: Wire<Out>, into: Wire<In>): Link<Out> {
  return {
    send: out.send,
    get congested() {
      return out.congested;
    },
    close: (reason) => {
      if (out.closed) return;
      into.stop();
      out.hangUp(reason);
    },
  };
}

function openWire<T>(clock: Clock, fate: () => Fate): Wire<T> {
  let inFlight = 0;
  let lastMs = 0;
  let closed = false;
  let stopped = false;
  const arrive = (message: T) => {
    inFlight--;
    if (!stopped) wire.events?.onMessage(message);
    if (inFlight === congestedAbove && !closed) wire.drained();
  };
  const wire: Wire<T> = {
    events: undefined,
    drained: () => {},
    get closed() {
      return closed;
    },
    get congested() {
      return inFlight > congestedAbove;
    },
    send: (message) => {
      if (closed) return;
      const { copies, delayMs, overtakes = false } = fate();
      const nowMs = clock.monotonicMs();
      for (let copy = 0; copy < copies; copy++) {
        const atMs = overtakes ? nowMs + delayMs : Math.max(lastMs, nowMs + delayMs);
        lastMs = Math.max(lastMs, atMs);
        inFlight++;
        clock.after(atMs - nowMs, () => arrive(message));
      }
    },
    end: (reason) => {
      if (closed) return;
      closed = true;
      clock.after(Math.max(0, lastMs - clock.monotonicMs()), () => {
        if (stopped) return;
        stopped = true;
        wire.events?.onClose(reason);
      });
    },
    refuse: () => {
      if (stopped) return;
      closed = true;
      stopped = true;
      wire.events?.onClose("connection refused");
    },
    hangUp: (reason) => {
      if (fate().copies > 0) wire.end(reason);
      else closed = true;
    },
    stop: () => {
      closed = true;
      stopped = true;
    },
  };
  return wire;
}

/** The two ends of one stream, with a bounded buffer in each direction. */
export function memoryPipes(): readonly [FramePipe, FramePipe] {
  const up = frameQueue();
  const down = frameQueue();
  const over = new AbortController();
  let ended = 0;
  const end = (queue: FrameQueue) => {
    if (!queue.end()) return;
    if (++ended === 2) over.abort(new Error("the stream has ended"));
  };
  const abort = (reason: string) => {
    if (over.signal.aborted) return;
    up.fail(new Error(reason));
    down.fail(new Error(reason));
    over.abort(new Error(reason));
  };
  const pipe = (out: FrameQueue, into: FrameQueue): FramePipe => ({
    frames: into.frames(),
    send: out.send,
    end: () => end(out),
    abort,
    signal: over.signal,
  });
  return [pipe(up, down), pipe(down, up)];
}

interface FrameQueue {
  send(frame: Frame): Promise<void>;
  frames(): AsyncGenerator<Frame>;
  /** False when it had ended. */
  end(): boolean;
  fail(error: Error): void;
}

function frameQueue(): FrameQueue {
  const queue: Frame[] = [];
  let ended = false;
  let failure: Error | undefined;
  let wakeReader: () => void = () => {};
  const writers: (() => void)[] = [];
  const wakeWriters = () => {
    for (const wake of writers.splice(0)) wake();
  };
  return {
    send: async (frame) => {
      if (failure !== undefined) throw failure;
      if (ended) throw new Error("sent after the end");
      queue.push(frame);
      wakeReader();
      while (queue.length > framesMax && failure === undefined) await new Promise<void>((wake) => writers.push(wake));
      if (failure !== undefined) throw failure;
    },
    async *frames() {
      for (;;) {
        const frame = queue.shift();
        if (frame !== undefined) {
          wakeWriters();
          yield frame;
        } else if (failure !== undefined) throw failure;
        else if (ended) return;
        else {
          await new Promise<void>((wake) => {
            wakeReader = wake;
          });
        }
      }
    },
    end: () => {
      if (ended || failure !== undefined) return false;
      ended = true;
      wakeReader();
      return true;
    },
    fail: (error) => {
      failure ??= error;
      queue.length = 0;
      wakeReader();
      wakeWriters();
    },
  };
}
