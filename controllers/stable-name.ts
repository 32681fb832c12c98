// Names of pods that say what they are for, so that whoever decides the same again makes the same, and the second create is refused.
import { nameSuffix, seededRandom } from "../lib/random.ts";

const nameCharsMax = 63;

/** "web-x7k2p", with an end that depends on `parts` alone. */
export function stableName(base: string, ...parts: readonly (string | number)[]): string {
  const suffix = `-${nameSuffix(seededRandom(fnv1a32(parts.join("/"))))}`;
  return `${base.slice(0, nameCharsMax - suffix.length)}${suffix}`;
}

/** The first names that nothing has yet: `nameOf(0)`, `nameOf(1)`, … */
export function* freeNames(nameOf: (ordinal: number) => string, isTaken: (name: string) => boolean): Generator<string> {
  for (let ordinal = 0; ; ordinal++) {
    const name = nameOf(ordinal);
    if (!isTaken(name)) yield name;
  }
}

function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
