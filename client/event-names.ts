// Names of Events as Kubernetes gives them: the object's name and the time in nanoseconds. So a list, which comes in the order of names,
// tells what happened to an object in the order in which it happened.
import type { Clock } from "../lib/clock.ts";
import { below, type Random } from "../lib/random.ts";

const nanosecondsPerMs = 1_000_000;

/** Each name comes after the one before it. */
export function openEventNames({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
  let last = 0n;
  return (object: string): string => {
    // Chance below the millisecond keeps writers apart that tell of the same object.
    const now = BigInt(clock.now()) * BigInt(nanosecondsPerMs) + BigInt(below(random, nanosecondsPerMs));
    last = now > last ? now : last + 1n;
    return `${object}.${last.toString(16)}`;
  };
}
