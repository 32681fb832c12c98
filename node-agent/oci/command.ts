// What every naru-oci command is, and what it gets.
import type { Arguments, OptionSpec } from "./arguments.ts";

export interface Globals {
  /** Where containers are known. */
  readonly root: string;
  /** Something that is worth saying and no failure. */
  readonly warn: (message: string) => void;
}

export interface Command {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  readonly options: readonly OptionSpec[];
  /** Whether words behind the first are its program's, options among them. */
  readonly takesProgram?: boolean;
  /** The exit code. */
  run(args: Arguments, globals: Globals): number | Promise<number>;
}

export function requireId({ rest }: Arguments): string {
  const [id] = rest;
  if (id === undefined) throw new Error("a container's id is expected");
  return id;
}
