// Bugs: conditions that hold unless the program itself is wrong.

/** Throws when `condition` is false: the program is wrong, not its input. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`bug: ${message}`);
}

/** Makes a switch whole: the compiler refuses a case that is not handled. */
export function unreachable(value: never): never {
  throw new Error(`bug: unhandled case ${JSON.stringify(value)}`);
}
