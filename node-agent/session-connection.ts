// Whether the server hears this node, as seen from the node: what fencing goes by.
import type { Clock, Timer } from "../lib/clock.ts";
import type { ConnectionState } from "./session-types.ts";

export interface ConnectionWatch {
  readonly state: ConnectionState;
  /** The server answered something that was sent at `sentMs` (monotonic). */
  confirmed(sentMs: number): void;
  /** The connection is gone. */
  lost(): void;
  onChange(listener: (state: ConnectionState) => void): () => void;
}

export function openConnectionWatch(clock: Clock, silentMs: number): ConnectionWatch {
  const listeners = new Set<(state: ConnectionState) => void>();
  let state: ConnectionState = { connected: false, sinceMs: clock.monotonicMs(), confirmedMs: undefined };
  let timer: Timer | undefined;

  const set = (connected: boolean, confirmedMs: number | undefined) => {
    const changed = connected !== state.connected;
    state = { connected, confirmedMs, sinceMs: changed ? clock.monotonicMs() : state.sinceMs };
    if (changed) for (const listener of listeners) listener(state);
  };
  // One timer that looks again when the present confirmation would have grown old, instead of one per heartbeat.
  const look = () => {
    timer = undefined;
    if (!state.connected) return;
    const ageMs = clock.monotonicMs() - (state.confirmedMs ?? 0);
    if (ageMs >= silentMs) set(false, state.confirmedMs);
    else timer = clock.after(silentMs - ageMs, look);
  };

  return {
    get state() {
      return state;
    },
    confirmed: (sentMs) => {
      const newestMs = Math.max(sentMs, state.confirmedMs ?? Number.NEGATIVE_INFINITY);
      if (clock.monotonicMs() - newestMs >= silentMs) {
        set(state.connected, newestMs); // an answer that old proves the past, not the present
        return;
      }
      set(true, newestMs);
      timer ??= clock.after(silentMs, look);
    },
    lost: () => {
      timer?.cancel();
      timer = undefined;
      set(false, state.confirmedMs);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
